"""The classifiers of GluonCV's zoo as encoders."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.networks import get_network
from tripletnet.networks.fingerprint import fingerprint
from tripletnet.networks.zoo import classifier_names, load_zoo, refusal
from tripletnet.runs import load_run, save_run

# One of each way in which the zoo ends its models.
KINDS = (
    "cifar_resnet20_v1",
    "resnet18_v1b",
    "resnet18_v1b_0.89",
    "squeezenet1.1",
    "mobilenetv2_0.25",
    "mobilenetv3_small",
    "googlenet",
)


def build(name: str, **arguments):
    network = get_network(f"gluoncv:{name}", **arguments)
    known = [p.shape for p in network._collect_params_with_prefix().values()]
    assert all(shape and min(shape) > 0 for shape in known)
    ours = set(network.layers._collect_params_with_prefix()) - set(network.backbone())
    code = {name.rpartition(".")[2] for name in ours}
    assert code == {"weight", "bias"} and len(ours) == 2
    return network


@pytest.mark.parametrize("name", KINDS)
def test_the_classifier_gives_way_to_a_code(name):
    network = build(name, code_size=7)
    assert type(network).__name__ == f"gluoncv:{name}"
    assert network.backbone_model == name


@pytest.mark.slow
def test_every_classifier_of_the_zoo_is_an_encoder():
    """Shapes are inferred and no weight is drawn, so that the large ones cost little."""
    for name in classifier_names():
        build(name, code_size=3)


def test_every_other_model_of_the_zoo_is_refused_with_the_reason():
    taken = set(classifier_names())
    refused = {name: refusal(name) for name in load_zoo() if name not in taken}
    assert len(taken) + len(refused) == len(load_zoo())
    for name in (
        "ssd_512_resnet50_v1_voc",
        "vgg16_ucf101",
        "mobilenet1.0_int8",
        "hrnet_w48_s",
        "resnet50_v1b_gn",
    ):
        with pytest.raises(InputError, match=f"'gluoncv:{name}' can be no encoder: it"):
            get_network(f"gluoncv:{name}")
        assert refused.pop(name)
    # nothing that its name calls a classifier's is left out
    families = ("resnet", "resnext", "vgg", "alexnet", "densenet", "mobilenet", "squeezenet")
    tasks = ("_gn", "kinetics", "ucf101", "hmdb51", "sthsthv2", "_int8", "_custom")
    for name in refused:
        assert not name.startswith(families) or any(task in name for task in tasks), name


def test_unknown_names_are_answered_with_names_that_are_alike():
    with pytest.raises(InputError, match=r"'gluoncv:resnet18_v9' is not known: did .*resnet18_v1"):
        get_network("gluoncv:resnet18_v9")
    with pytest.raises(InputError, match=r"use one of alexnet, .*xception71"):
        get_network("gluoncv:?")


@pytest.mark.parametrize(
    ("name", "taken"), [("densenet121", "224, 256, 299, 331"), ("alexnet", "64, 96, 128")]
)
def test_sizes_that_a_model_does_not_take_are_refused_with_those_that_it_does(name, taken, capsys):
    with pytest.raises(InputError) as caught:
        get_network(f"gluoncv:{name}", image_size=32)
    assert str(caught.value).startswith(
        f"image_size is 32: gluoncv:{name} does not take images of 32 x 32 pixels; it takes {taken}"
    )
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "mean", "std", "size"),
    [
        ("cifar_resnet20_v1", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), 32),
        ("resnet18_v1", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224),
    ],
)
def test_pixels_are_normalised_as_the_zoos_weights_expect(name, mean, std, size):
    network = get_network(f"gluoncv:{name}", code_size=4)
    assert network.image_size == size
    network.pixels.initialize()
    image = np.full((1, 3, 2, 2), 200, np.uint8)
    expected = (200 / 255 - np.array(mean)) / np.array(std)
    given = network.pixels(mx.nd.array(image, dtype="uint8")).asnumpy()
    np.testing.assert_allclose(given[0, :, 0, 0], expected, rtol=1e-4)


def test_codes_and_the_run_folder(tmp_path):
    mx.random.seed(0)
    network = get_network("gluoncv:cifar_resnet20_v1", code_size=5, image_size=16)
    network.initialize(mx.init.MSRAPrelu())
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16), dtype=np.uint8)
    batch = mx.nd.array(images, dtype="uint8")
    codes = network(batch).asnumpy()
    assert codes.dtype == np.float32 and codes.shape == (4, 5)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, atol=1e-5)

    save_run(tmp_path, network, "gluoncv:cifar_resnet20_v1")
    again, description = load_run(tmp_path)
    assert description["network"]["name"] == "gluoncv:cifar_resnet20_v1"
    assert type(again) is type(network)
    assert fingerprint(again) == description["fingerprint"]
    np.testing.assert_allclose(again(batch).asnumpy(), codes, atol=1e-6)


def test_gluoncv_is_imported_only_when_it_is_used():
    code = (
        "import sys, tripletnet.networks as n; n.get_network('residual');"
        "assert 'gluoncv' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_gluoncv_does_not_make_truncated_pictures_whole():
    code = (
        "import cv2, numpy as np;"
        "from tripletnet.data.decode import ImageError, decode_image;"
        "from tripletnet.runtime import load_gluoncv;"
        "load_gluoncv();"
        "noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8);"
        "data = cv2.imencode('.jpg', noise)[1].tobytes();"
        "exec('try: decode_image(data[:-200])\\nexcept ImageError: print(1)')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "1\n"
