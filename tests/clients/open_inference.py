"""Asks a server by Triton's own client, and compares with what `sarb predict` says of the same images.

    python open_inference.py SARB RUN IMAGE…

needs `tritonclient[http]` of PyPI. SARB is the program, RUN a run on images. Prints a line for
each way of asking and ends with 1 where a score differs by more than 1e-5.
"""

import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from serving import MODEL, TOLERANCE, arguments, predicted, served

# As many images as a request may have.
AT_ONCE = 32


def compare(way: str, scores: np.ndarray, expected: np.ndarray) -> None:
    """Prints how far scores are from what is expected, and ends where that is too far."""
    assert scores.shape == expected.shape and scores.dtype == np.float32, (way, scores.shape, scores.dtype)
    distance = float(np.abs(scores - expected).max())
    print(f"{way}: {scores.shape[0]} images, largest difference {distance:.1e}")
    if not distance <= TOLERANCE:
        sys.exit(f"{way}: more than {TOLERANCE}")


def by_triton(address: str, model: str, files: list[bytes], expected: np.ndarray) -> None:
    """tritonclient: binary and JSON outputs, names, ids, errors."""
    client = triton.InferenceServerClient(address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(model)
    assert client.get_server_metadata()["name"] == "sarb"
    metadata = client.get_model_metadata(model)
    assert metadata["inputs"][0] == {"name": "image", "datatype": "BYTES", "shape": [-1]}, metadata
    image = triton.InferInput("image", [len(files)], "BYTES")
    image.set_data_from_numpy(np.array(files, dtype=object), binary_data=True)
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("scores", "labels")]
        answer = client.infer(model, [image], outputs=wanted, request_id="one")
        assert answer.get_response()["id"] == "one"
        scores = answer.as_numpy("scores").reshape(expected.shape).astype(np.float32)
        compare(f"tritonclient, {'binary' if binary else 'JSON'} outputs", scores, expected)
        labels = [name.decode() if isinstance(name, bytes) else name for name in answer.as_numpy("labels")]
        assert len(labels) == expected.shape[1]
    compare("tritonclient, no output named", client.infer(model, [image]).as_numpy("scores"), expected)
    try:
        client.infer("nobody", [image])
    except triton.InferenceServerException as error:
        assert "no model" in str(error), error
    else:
        sys.exit("an unknown model was answered")


def category_names(address: str, model: str) -> list[str]:
    """Names of the categories in the order of the columns."""
    client = triton.InferenceServerClient(address)
    pixels = triton.InferInput("pixels", [1, 8, 8, 3], "UINT8")
    pixels.set_data_from_numpy(np.zeros((1, 8, 8, 3), dtype=np.uint8), binary_data=True)
    answer = client.infer(model, [pixels], outputs=[triton.InferRequestedOutput("labels", binary_data=True)])
    return [name.decode() for name in answer.as_numpy("labels")]


def main() -> None:
    """Starts the server, asks, and ends it."""
    asked = arguments(__doc__)
    images = asked.images[:AT_ONCE]
    with served(asked.sarb, asked.run) as url:
        address = url.removeprefix("http://")
        names = category_names(address, MODEL)
        rows = [[of[name] for name in names] for of in predicted(asked.sarb, asked.run, images)]
        files = [Path(image).read_bytes() for image in images]
        by_triton(address, MODEL, files, np.array(rows, dtype=np.float32))


if __name__ == "__main__":
    main()
