"""Backbones in training: their first weights, freezing, a learning rate of their own."""

from __future__ import annotations

import hashlib
import io
import signal
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.networks import get_network
from tripletnet.networks.pretrained import _stored_name, fetch_weights, load_backbone
from tripletnet.networks.zoo import classifier_names, make_classifier
from tripletnet.runs import load_run
from tripletnet.runtime import load_gluoncv
from tripletnet.training import TrainingConfig, train_run

MODEL = "cifar_resnet20_v1"
CONFIG = TrainingConfig(
    images=6 * 12, network=f"gluoncv:{MODEL}", code_size=8, batch_size=12, flip=False, shift=0
)


def zoo_model(classes: int = 10):
    """A whole model of the zoo, its classifier included, with weights and statistics."""
    model = make_classifier(MODEL)
    if classes != 10:
        model.output = mx.gluon.nn.Dense(classes, in_units=64)
    mx.random.seed(1)
    model.initialize(mx.init.Xavier())
    model(mx.nd.zeros((1, 3, 16, 16)))
    for name, parameter in model.collect_params().items():
        if "running_mean" in name:
            parameter.set_data(mx.nd.random.normal(shape=parameter.shape) / 10)
    return model


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.params"
    zoo_model().save_parameters(str(path))
    return path


@pytest.fixture
def encoder():
    network = get_network(f"gluoncv:{MODEL}", code_size=8, image_size=16)
    network.initialize(mx.init.Xavier())
    return network


def backbone_of(network) -> dict[str, np.ndarray]:
    return {name: p.data().asnumpy() for name, p in network.backbone().items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    assert a.keys() == b.keys() and a
    return all(np.array_equal(a[name], b[name]) for name in a)


# --- weights from a file ---


@pytest.mark.parametrize(
    ("classes", "named"), [(10, "structure"), (3, "structure"), (10, "prefix"), (10, "symbol")]
)
def test_takes_the_weights_of_a_file(encoder, tmp_path, classes, named):
    model = zoo_model(classes)
    path = str(tmp_path / "model.params")
    if named == "structure":
        model.save_parameters(path)
    else:
        model.collect_params().save(path, strip_prefix=model.prefix)
    if named == "symbol":  # as `export` writes them
        mx.nd.save(path, {f"arg:{name}": value for name, value in mx.nd.load(path).items()})
    load_backbone(encoder, path)
    expected = {n: p.data().asnumpy() for n, p in model._collect_params_with_prefix().items()}
    for name, found in backbone_of(encoder).items():
        assert np.array_equal(found, expected[name]), name


def test_names_what_does_not_fit(encoder, weights, tmp_path):
    stored = mx.nd.load(str(weights))
    first = next(iter(encoder.backbone()))
    del stored[first]
    stored[list(encoder.backbone())[1]] = mx.nd.zeros((3,))
    mx.nd.save(str(weights), stored)
    before = backbone_of(encoder)
    with pytest.raises(InputError, match=f"not the weights of {MODEL} .*{first} is missing, .*is"):
        load_backbone(encoder, weights)
    assert same(backbone_of(encoder), before)
    (tmp_path / "junk.params").write_bytes(b"junk" * 100)
    with pytest.raises(InputError, match=r"junk.params: cannot be read as parameters of Gluon"):
        load_backbone(encoder, tmp_path / "junk.params")


# --- weights from the model store ---


class Store:
    """A server in the layout of GluonCV's model store."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                store.asked.append(self.path)
                body = store.files.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def store(tmp_path, monkeypatch):
    server = Store()
    monkeypatch.setenv("MXNET_GLUON_REPO", server.url)
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    yield server
    server.close()


@pytest.fixture
def offered(store, weights, monkeypatch):
    """The file of the store's model, which the server has, and the zoo knows by its SHA-1."""
    model_store = load_gluoncv().model_zoo.model_store

    body = weights.read_bytes()
    sha1 = hashlib.sha1(body).hexdigest()
    monkeypatch.setitem(model_store._model_sha1, MODEL, sha1)
    name = f"{MODEL}-{sha1[:8]}"
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr(f"{name}.params", body)
    store.files[f"/gluon/models/{name}.zip"] = zipped.getvalue()
    return name


def test_fetches_the_stores_weights_once(store, offered, weights, tmp_path, capsys):
    path = fetch_weights(MODEL)
    assert path == tmp_path / "home/models" / f"{offered}.params"
    assert path.read_bytes() == weights.read_bytes()
    assert fetch_weights(MODEL) == path
    assert store.asked == [f"/gluon/models/{offered}.zip"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("wrong", ["missing", "junk", "another", "unreachable"])
def test_says_how_to_bring_the_file_where_it_cannot_be_fetched(
    store, offered, wrong, tmp_path, monkeypatch
):
    place = f"/gluon/models/{offered}.zip"
    if wrong == "missing":
        del store.files[place]
    elif wrong == "junk":
        store.files[place] = b"not a zip"
    elif wrong == "another":
        zipped = io.BytesIO()
        with zipfile.ZipFile(zipped, "w") as file:
            file.writestr(f"{offered}.params", b"other weights")
        store.files[place] = zipped.getvalue()
    else:
        monkeypatch.setenv("MXNET_GLUON_REPO", "http://127.0.0.1:1/")
    reason = {"missing": "does not have them", "unreachable": "cannot be reached"}
    with pytest.raises(InputError, match=reason.get(wrong, "damaged or another")) as caught:
        fetch_weights(MODEL)
    message = str(caught.value)
    assert message.isprintable()
    assert f"{place} by hand" in message
    assert str(tmp_path / "home/models" / f"{offered}.params") in message


def test_the_store_knows_what_the_zoos_models_are_called_there(images, tmp_path):
    model_store = load_gluoncv().model_zoo.model_store

    without = {n for n in classifier_names() if _stored_name(n) not in model_store._model_sha1}
    assert "resnet50_v1d_0.48" not in without and "hrnet_w18_c" not in without
    with pytest.raises(InputError, match="model store has no weights for resnext101e_64x4d"):
        trained(images, tmp_path, network="gluoncv:resnext101e_64x4d", pretrained=True)


# --- training ---


@pytest.fixture
def images() -> ImageSet:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
    return ImageSet("noise", pixels, np.arange(24) % 3, ["a", "b", "c"])


def trained(data, out, **choices):
    return train_run(data, CONFIG.replace(**choices), out, quiet=True).encoder


def test_a_frozen_backbone_stays_what_it_was(images, weights, encoder, tmp_path):
    load_backbone(encoder, weights)
    found = trained(images, tmp_path / "run", weights=str(weights), freeze_backbone="always")
    assert same(backbone_of(found), backbone_of(encoder))
    description = load_run(tmp_path / "run")[1]
    assert description["training"]["weights"] == str(weights)
    assert description["training"]["freeze_backbone"] == "always"


def test_a_backbone_that_is_frozen_at_first_learns_afterwards(images, weights, tmp_path):
    # two steps an epoch: the first four of six steps leave the backbone as it was
    first = trained(
        images, tmp_path / "a", weights=str(weights), freeze_backbone=2.0, images=4 * 12
    )
    whole = trained(images, tmp_path / "b", weights=str(weights), freeze_backbone=2.0)
    stored = {n: v.asnumpy() for n, v in mx.nd.load(str(weights)).items()}
    assert all(np.array_equal(v, stored[n]) for n, v in backbone_of(first).items())
    changed = [n for n, v in backbone_of(whole).items() if not np.array_equal(v, stored[n])]
    assert len(changed) == len(whole.backbone())  # statistics included


@pytest.mark.parametrize(("optimizer", "stop"), [("sgd", 4), ("adam", 2), ("adam", 5)])
def test_going_on_gives_the_same_bits_before_and_after_the_thaw(
    images, weights, tmp_path, monkeypatch, optimizer, stop
):
    from tripletnet.training.callbacks import History

    choices = {
        "weights": str(weights),
        "freeze_backbone": 2.0,
        "backbone_learning_rate": 0.005,
        "learning_rate": 0.01,
        "optimizer": optimizer,
    }
    whole = trained(images, tmp_path / "whole", **choices)

    def interrupt(self, trainer):
        if trainer.step == stop:
            signal.raise_signal(signal.SIGINT)
        return False

    config = CONFIG.replace(**choices)
    with monkeypatch.context() as patch:
        patch.setattr(History, "wants_weights", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_run(images, config, tmp_path / "parts", quiet=True)
    parts = train_run(images, config, tmp_path / "parts", resume=True, quiet=True)
    a, b = whole._collect_params_with_prefix(), parts.encoder._collect_params_with_prefix()
    for name in a:
        assert np.array_equal(a[name].data().asnumpy(), b[name].data().asnumpy()), name


def test_the_backbone_has_a_learning_rate_of_its_own(images, weights, tmp_path):
    stored = {n: v.asnumpy() for n, v in mx.nd.load(str(weights)).items()}

    def moved(out, **choices):
        # one step without weight decay is the gradient times the rate
        found = trained(
            images, tmp_path / out, images=12, weights=str(weights), learning_rate=0.5,
            weight_decay=0.0, warmup=0.0, **choices,
        )  # fmt: skip
        name = next(n for n in found.backbone() if n.endswith("weight"))
        return backbone_of(found)[name] - stored[name]

    plain, slow = moved("a"), moved("b", backbone_learning_rate=0.05)
    assert np.abs(plain).max() > 1e-4
    np.testing.assert_allclose(slow, plain / 10, atol=1e-3 * np.abs(plain).max())


def test_pretrained_starts_from_the_stores_weights(images, offered, weights, tmp_path, encoder):
    load_backbone(encoder, weights)
    found = trained(images, tmp_path / "run", pretrained=True, freeze_backbone="always")
    assert same(backbone_of(found), backbone_of(encoder))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"network": "article", "pretrained": True}, "pretrained: the network article has no back"),
        ({"network": "residual", "weights": "x"}, "weights: the network residual has no backbone"),
        ({"network": "article", "freeze_backbone": "always"}, "freeze backbone: the network art"),
        ({"network": "article", "backbone_learning_rate": 0.1}, "backbone learning rate: the net"),
        ({"weights": "no/such.params"}, "weights: no/such.params: there is no such file"),
        ({"weights": "x", "pretrained": True}, "pretrained and weights both"),
        ({"freeze_backbone": "never"}, "freeze backbone is 'never': give 'always' or a number"),
        ({"freeze_backbone": -1.0}, "freeze backbone is -1.0"),
        ({"freeze_backbone": "always", "backbone_learning_rate": 0.1}, "always frozen has no lear"),
        ({"backbone_learning_rate": 0.0}, "backbone learning rate is 0.0: give a number above 0"),
    ],
)
def test_what_does_not_go_together_is_refused(images, tmp_path, choices, message):
    with pytest.raises(InputError, match=message):
        train_run(images, CONFIG.replace(**choices), tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_that_do_not_fit_make_no_run_folder(images, tmp_path):
    other = tmp_path / "other.params"
    mx.nd.save(str(other), {"nothing": mx.nd.zeros(1)})
    with pytest.raises(InputError, match=r"other\.params"):
        trained(images, tmp_path / "run", weights=str(other))
    assert list(tmp_path.iterdir()) == [other]


def test_code_size_is_the_networks_own_unless_it_is_given(images, tmp_path):
    run = train_run(images, CONFIG.replace(code_size=None, images=12), tmp_path, quiet=True)
    assert run.encoder.code_size == run.description["training"]["code_size"] == 1024


def test_the_options_of_the_command_line(tmp_path, tripletnet):
    def refused(*options: str) -> str:
        status, _, said = tripletnet("train", "digits", "--out", tmp_path / "run", *options)
        assert status == 2
        return said

    assert "article has no backbone" in refused("--pretrained")
    assert "not allowed with" in refused("--pretrained", "--weights", "x")
    assert "'soon' is no number of epochs" in refused("--freeze-backbone", "soon")
    assert "did you mean resnet18_v" in refused("--network", "gluoncv:resnet18_v7")
    assert not (tmp_path / "run").exists()
