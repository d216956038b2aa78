"""Asks a server as users of tritonclient[http] do; prints what came back as JSON."""

import json
import sys

import numpy
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

client = InferenceServerClient(sys.argv[1])
row = numpy.linspace(0, 1, 30, dtype=numpy.float32).reshape(1, 30)


def features(values, binary=True):
    given = InferInput("features", list(values.shape), "FP32")
    return [given.set_data_from_numpy(values, binary_data=binary)]


def texts(*values):
    array = numpy.array([[value] for value in values], dtype=numpy.object_)
    return [InferInput("BYTES", [len(values), 1], "BYTES").set_data_from_numpy(array)]


metadata = client.get_model_metadata("cancer")
output = metadata["outputs"][0]["name"]
plain = client.infer("cancer", features(row), request_id="from python")
listed = client.infer(
    "cancer", features(row, False), outputs=[InferRequestedOutput(output, binary_data=False)]
)
packed = {
    algorithm: client.infer(
        "cancer@live",
        features(row),
        model_version="",
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
        priority=1,
        timeout=60_000_000,
    )
    for algorithm in ("gzip", "deflate")
}
many = client.async_infer("cancer", features(numpy.repeat(row, 3, axis=0)), model_version="1")
classes = client.infer(
    "cancer", features(row), outputs=[InferRequestedOutput(output, class_count=1)]
)
echoed = client.infer("text", texts("zwölf".encode(), b""))

errors = []
for ask in (
    lambda: client.infer("nobody", features(row)),
    lambda: client.infer("cancer", features(row[:, :29])),
    lambda: client.infer("cancer", features(row), sequence_id=7, sequence_start=True),
):
    try:
        ask()
    except InferenceServerException as error:
        errors.append([error.status(), error.message()])

client.unload_model("cancer")
client.load_model("cancer")
index = client.get_model_repository_index()
print(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "models": [client.is_model_ready("cancer"), client.is_model_ready("nobody")],
            "server": client.get_server_metadata()["name"],
            "config": client.get_model_config("cancer")["max_batch_size"],
            "statistics": client.get_inference_statistics("cancer")["model_stats"][0]["name"],
            "index": sorted(entry["name"] for entry in index),
            "id": plain.get_response()["id"],
            "prediction": plain.get_response()["parameters"]["prediction_id"],
            "values": plain.as_numpy(output).tolist(),
            "listed": listed.as_numpy(output).tolist(),
            "packed": [packed[name].as_numpy(output).tolist() for name in packed],
            "many": list(many.get_result().as_numpy(output).shape),
            "classes": [text.decode() for text in classes.as_numpy(output).flatten()],
            "echoed": [text.decode() for text in echoed.as_numpy("y_BYTES").flatten()],
            "errors": errors,
        }
    )
)
