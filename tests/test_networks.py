"""The networks, against a forward pass in NumPy and finite differences of it."""

from __future__ import annotations

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.networks import (
    NETWORKS,
    Classifier,
    EncoderBlock,
    SiameseTriplet,
    TripletCNN,
    get_network,
)
from tripletnet.networks.base import normalize_rows
from tripletnet.networks.fingerprint import fingerprint

MEAN = np.array([125.3, 123.0, 113.9]).reshape(3, 1, 1)
STD = np.array([63.0, 62.1, 66.7]).reshape(3, 1, 1)


def weights_of(block) -> dict[str, np.ndarray]:
    """Return what can be learnt, in double precision, by name."""
    return {
        name: parameter.data().asnumpy().astype(np.float64)
        for name, parameter in block._collect_params_with_prefix().items()
        if parameter.grad_req != "null"
    }


def numpy_embed(weights: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """Return what :class:`TripletCNN` computes, before the unit length, by its description."""
    x = (images.astype(np.float64) - MEAN) / STD
    for layer, kernel in ((0, 5), (3, 3), (6, 3)):
        windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))
        x = np.einsum(
            "nchwij,ocij->nohw", windows, weights[f"layers.{layer}.weight"], optimize=True
        )
        x += weights[f"layers.{layer}.bias"].reshape(-1, 1, 1)
        x = (x[:, :, 1:, 1:] + x[:, :, 1:, :-1] + x[:, :, :-1, 1:] + x[:, :, :-1, :-1]) / 4
        x = np.maximum(x, 0)
    return x.reshape(len(x), -1) @ weights["layers.10.weight"].T + weights["layers.10.bias"]


def numpy_codes(weights: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    outputs = numpy_embed(weights, images)
    return outputs / np.linalg.norm(outputs, axis=1, keepdims=True)


def draw_images(count: int, size: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def make(network, seed: int = 0):
    mx.random.seed(seed)
    network.initialize(mx.init.Xavier())
    random = np.random.default_rng(seed)
    for name, parameter in network._collect_params_with_prefix().items():
        if name.endswith("bias"):  # zeros would hide a bias that is left out
            parameter.set_data(mx.nd.array(random.normal(0, 0.1, parameter.shape)))
    return network


@pytest.fixture
def encoder() -> TripletCNN:
    return make(TripletCNN(code_size=7, image_size=12))


@pytest.mark.parametrize("hybrid", [False, True], ids=["imperative", "hybridized"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("size", [12, 16])
def test_forward_pass(hybrid, dtype, size):
    network = make(TripletCNN(code_size=9, image_size=size))
    if hybrid:
        network.hybridize(static_alloc=True, static_shape=True)
    images = draw_images(5, size)
    expected = numpy_codes(weights_of(network), images)
    for part in (slice(0, 5), slice(1, 3)):  # a second shape goes through the same graph
        codes = network(mx.nd.array(images[part], dtype=dtype))
        assert codes.dtype == np.float32
        np.testing.assert_allclose(codes.asnumpy(), expected[part], rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        network.embed(mx.nd.array(images, dtype=dtype)).asnumpy(),
        numpy_embed(weights_of(network), images),
        rtol=1e-4,
        atol=1e-4,
    )


def test_the_articles_size():
    network = TripletCNN()
    assert (network.code_size, network.image_size) == (1024, 32)
    shapes = {n: p.shape for n, p in network._collect_params_with_prefix().items()}
    assert shapes["layers.0.weight"] == (32, 3, 5, 5)
    assert shapes["layers.3.weight"] == shapes["layers.6.weight"] == (32, 32, 3, 3)
    assert shapes["layers.10.weight"] == (1024, 14_112)


def test_gradient_of_the_whole_network(encoder):
    """Autograd in float32 against central differences of the NumPy pass in float64."""
    images = draw_images(3, seed=1)
    toward = np.random.default_rng(2).normal(size=(3, 7))
    with mx.autograd.record():
        value = (encoder(mx.nd.array(images, dtype="uint8")) * mx.nd.array(toward)).sum()
    value.backward()

    parameters = encoder._collect_params_with_prefix()
    weights = weights_of(encoder)
    random = np.random.default_rng(3)
    step = 1e-6  # too short to take any ReLU round its corner
    for name, array in weights.items():
        gradient = parameters[name].grad().asnumpy()
        scale = np.abs(gradient).max()
        assert scale > 0
        flat = array.reshape(-1)
        places = random.choice(array.size, min(4, array.size), replace=False)
        for place in (*places, np.abs(gradient).argmax()):
            kept = flat[place]
            values = []
            for change in (step, -step):
                flat[place] = kept + change
                values.append((numpy_codes(weights, images) * toward).sum())
            flat[place] = kept
            numeric = (values[0] - values[1]) / (2 * step)
            assert gradient.reshape(-1)[place] == pytest.approx(numeric, abs=1e-4 * scale), name


@pytest.mark.parametrize("image_size", [11, 1, 0, -4])
def test_images_too_small_are_refused(image_size):
    with pytest.raises(InputError, match=f"image_size is {image_size}: TripletCNN .* 12 x 12"):
        TripletCNN(code_size=4, image_size=image_size)


def test_a_code_has_a_number_at_least():
    with pytest.raises(InputError, match="code_size is 0"):
        TripletCNN(code_size=0)


@pytest.mark.parametrize("hybrid", [False, True], ids=["imperative", "hybridized"])
@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (2, 12, 12, 3), (3, 12, 12), (2, 1, 12, 12)])
def test_images_of_another_shape_are_refused(encoder, hybrid, shape):
    encoder.hybridize(hybrid)
    with pytest.raises(InputError, match=r"this network takes \(N, 3, 12, 12\)") as caught:
        encoder(mx.nd.zeros(shape))
    assert str(shape) in str(caught.value)


def test_images_of_another_shape_are_refused_by_all_that_hold_an_encoder(encoder):
    wrong, right = mx.nd.zeros((2, 3, 13, 13)), mx.nd.zeros((2, 3, 12, 12))
    classifier, siamese = Classifier(encoder, 3), SiameseTriplet(encoder)
    classifier.initialize()
    for network, images in ((classifier, [wrong]), (siamese, [right, wrong, right])):
        for hybrid in (False, True):
            network.hybridize(hybrid)
            with pytest.raises(InputError, match=r"this network takes \(N, 3, 12, 12\)"):
                network(*images)


def test_normalize_rows():
    rows = normalize_rows(mx.nd, mx.nd.array([[3.0, 4.0], [-0.5, 0.0]]))
    np.testing.assert_allclose(rows.asnumpy(), [[0.6, 0.8], [-1.0, 0.0]], atol=1e-6)


def test_a_code_of_zeros_has_a_finite_gradient():
    x = mx.nd.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]])
    x.attach_grad()
    with mx.autograd.record():
        value = (normalize_rows(mx.nd, x) * mx.nd.array([[1.0, 2.0, 3.0]] * 2)).sum()
    value.backward()
    assert np.isfinite(x.grad.asnumpy()).all()
    # the gradient at (1, 2, 2): (w - u (u.w)) / 3 with u = x / 3, w = (1, 2, 3)
    np.testing.assert_allclose(x.grad.asnumpy()[1], np.array([-2, -4, 5]) / 27, atol=1e-6)


def test_a_network_of_zeros_has_a_finite_gradient(encoder):
    for parameter in encoder.collect_params().values():
        parameter.set_data(mx.nd.zeros(parameter.shape))
    encoder.pixels.std.set_data(mx.nd.ones((1, 3, 1, 1)))
    with mx.autograd.record():
        codes = encoder(mx.nd.array(draw_images(2), dtype="uint8"))
        value = codes.sum()
    value.backward()
    assert not codes.asnumpy().any()
    for parameter in encoder.collect_params(".*weight|.*bias").values():
        assert np.isfinite(parameter.grad().asnumpy()).all()


@pytest.mark.parametrize("hybrid", [False, True], ids=["imperative", "hybridized"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_siamese_is_three_passes_through_one_encoder(encoder, hybrid, dtype):
    siamese = SiameseTriplet(encoder)
    assert siamese.encoder is encoder
    shared = siamese.collect_params()
    assert {id(p) for p in shared.values()} == {id(p) for p in encoder.collect_params().values()}

    images = [mx.nd.array(draw_images(4, seed=i), dtype=dtype) for i in range(3)]
    weights = mx.nd.array(np.random.default_rng(0).normal(size=(3, 4, 7)))
    added = {name: 0.0 for name, p in shared.items() if p.grad_req != "null"}
    singles = []
    for batch, weight in zip(images, weights):
        with mx.autograd.record():
            singles.append(encoder(batch))
            value = (singles[-1] * weight).sum()
        value.backward()
        for name in added:
            added[name] = added[name] + shared[name].grad().asnumpy()

    if hybrid:
        siamese.hybridize(static_alloc=True, static_shape=True)
    with mx.autograd.record():
        codes = siamese(*images)
        value = sum((c * w).sum() for c, w in zip(codes, weights))
    value.backward()
    assert len(codes) == 3
    for code, single in zip(codes, singles):
        np.testing.assert_allclose(code.asnumpy(), single.asnumpy(), rtol=0, atol=1e-6)
    for name, expected in added.items():
        np.testing.assert_allclose(
            shared[name].grad().asnumpy(), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
        )


@pytest.mark.parametrize("hybrid", [False, True], ids=["imperative", "hybridized"])
def test_classifier_shares_the_encoders_layers(encoder, hybrid):
    classifier = Classifier(encoder, classes=5)
    classifier.output.initialize(mx.init.Xavier())
    if hybrid:
        classifier.hybridize(static_alloc=True, static_shape=True)
    images = draw_images(4)
    batch = mx.nd.array(images, dtype="uint8")

    features = np.maximum(numpy_embed(weights_of(encoder), images), 0)
    np.testing.assert_allclose(classifier.features(batch).asnumpy(), features, atol=1e-4)
    last = classifier.output
    scores = features @ last.weight.data().asnumpy().T + last.bias.data().asnumpy()
    np.testing.assert_allclose(classifier(batch).asnumpy(), scores, atol=1e-4)

    first = encoder.layers[0].weight
    first.set_data(first.data() * 2)
    assert not np.allclose(classifier(batch).asnumpy(), scores, atol=1e-3)


def test_fingerprint_changes_with_every_parameter(encoder):
    parameters = list(encoder.collect_params().values())
    seen = {fingerprint(encoder)}
    for parameter in parameters:
        kept = parameter.data().copy()
        changed = kept.asnumpy()
        changed.reshape(-1)[-1] = np.nextafter(changed.reshape(-1)[-1], np.float32(1e9))
        parameter.set_data(mx.nd.array(changed))
        seen.add(fingerprint(encoder))
        parameter.set_data(kept)
    assert len(seen) == 1 + len(parameters)
    assert fingerprint(encoder) in seen


def test_fingerprint_outlives_the_file(encoder, tmp_path):
    encoder.save_parameters(str(tmp_path / "encoder.params"))
    again = TripletCNN(code_size=7, image_size=12)
    again.load_parameters(str(tmp_path / "encoder.params"))
    assert fingerprint(again) == fingerprint(encoder)
    encoder.hybridize()
    encoder(mx.nd.array(draw_images(2), dtype="uint8"))
    assert fingerprint(encoder) == fingerprint(again)


def test_fingerprint_tells_kinds_of_networks_apart(encoder, tmp_path):
    class Other(TripletCNN):
        """The same layers under another name."""

    encoder.save_parameters(str(tmp_path / "encoder.params"))
    other = Other(code_size=7, image_size=12)
    other.load_parameters(str(tmp_path / "encoder.params"))
    assert fingerprint(other) != fingerprint(encoder)


def test_pixels_normalisation_is_saved_with_the_weights(tmp_path):
    ours = make(TripletCNN(code_size=4, image_size=12, mean=(1, 2, 3), std=(4, 5, 6)))
    ours.save_parameters(str(tmp_path / "encoder.params"))
    again = TripletCNN(code_size=4, image_size=12)
    again.load_parameters(str(tmp_path / "encoder.params"))
    batch = mx.nd.array(draw_images(2), dtype="uint8")
    assert (again(batch).asnumpy() == ours(batch).asnumpy()).all()
    assert fingerprint(again) == fingerprint(ours)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_networks_by_name(name):
    network = get_network(name, code_size=6, image_size=64)
    assert isinstance(network, EncoderBlock)
    network.initialize()
    codes = network(mx.nd.array(draw_images(2, 64), dtype="uint8")).asnumpy()
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, atol=1e-5)
    again = get_network(name, **network.arguments)
    assert again.arguments == network.arguments


def test_an_unknown_network_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="network 'resnet' is not known") as caught:
        get_network("resnet")
    assert all(name in str(caught.value) for name in NETWORKS)


def test_triplets_are_as_many_images_of_one_type():
    encoder = get_network("article", code_size=4, image_size=16)
    encoder.initialize()
    siamese = SiameseTriplet(encoder)
    two, five = (mx.nd.zeros((count, 3, 16, 16), dtype="uint8") for count in (2, 5))
    for batches in ((two, two, five), (two, two, two.astype("float32"))):
        with pytest.raises(InputError, match="give as many images of one type in each"):
            siamese(*batches)
