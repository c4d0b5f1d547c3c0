"""Asks a server by KServe's own client, and compares with what `sarb predict` says of the same images.

    python kserve_client.py SARB RUN IMAGE…

needs `kserve` of PyPI, 450 MB with what it needs, and so is run by hand. Prints a line for each way of asking and ends
with 1 where a score differs by more than 1e-5.
"""

import asyncio
import sys
from pathlib import Path

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from serving import MODEL, TOLERANCE, arguments, predicted, served


def request(files: list[bytes], binary: bool) -> InferRequest:
    """What is in these files, and what the columns are called; answered in binary tensors or in JSON.

    The files are binary always: in JSON kserve's client sends text alone.
    """
    image = InferInput("image", [len(files)], "BYTES")
    image.set_data_from_numpy(np.array(files, dtype=object), binary_data=True)
    outputs = [RequestedOutput(name, parameters={"binary_data": binary}) for name in ("scores", "labels")]
    return InferRequest(MODEL, [image], request_id="one", request_outputs=outputs)


async def ask(url: str, files: list[bytes], expected: list[dict[str, float]]) -> None:
    """Readiness, answers in both forms, and an error."""
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60, retries=1))
    assert await client.is_server_live(url) and await client.is_server_ready(url)
    assert await client.is_model_ready(url, MODEL)
    for binary in (True, False):
        answer = await client.infer(url, request(files, binary), MODEL)
        assert answer.id == "one" and answer.model_name == MODEL
        outputs = {output.name: output.as_numpy() for output in answer.outputs}
        names = [name.decode() if isinstance(name, bytes) else name for name in outputs["labels"].flatten()]
        scores = outputs["scores"].reshape(len(files), len(names))
        distance = max(abs(scores[row, column] - of[name]) for row, of in enumerate(expected) for column, name in enumerate(names))
        print(f"kserve's client, {'binary' if binary else 'JSON'}: {len(files)} images, largest difference {distance:.1e}")
        if not distance <= TOLERANCE:
            sys.exit(f"more than {TOLERANCE}")
    try:
        await client.infer(url, request(files[:1], True), "nobody")
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 404, error
    else:
        sys.exit("an unknown model was answered")
    await client.close()


def main() -> None:
    """Starts the server, asks, and ends it."""
    asked = arguments(__doc__)
    files = [Path(image).read_bytes() for image in asked.images]
    with served(asked.sarb, asked.run) as url:
        asyncio.run(ask(url, files, predicted(asked.sarb, asked.run, asked.images)))


if __name__ == "__main__":
    main()
