"""What a user of MLflow does with its stock client; prints what came of it as JSON."""

import json
import os
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

url, folder, target = sys.argv[1:4]
mlflow.set_tracking_uri(url)
client = MlflowClient()


def tree(root):
    found = {}
    for parent, _, names in os.walk(root):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, root)] = file.read().hex()
    return found


def refused(call):
    try:
        call()
    except MlflowException as error:
        return error.error_code
    return None


source = "mlflow-artifacts:/0/run7/artifacts/model"
repo = get_artifact_repository(source)
repo.log_artifacts(folder)
said = {"staged": sorted(file.path for file in repo.list_artifacts())}

first = mlflow.register_model(source, "stock", tags={"team.name": "vision"})
said["status"] = client.get_model_version("stock", first.version).status
said["version"] = first.version

client.set_registered_model_alias("stock", "champion", first.version)
said["alias"] = client.get_model_version_by_alias("stock", "champion").version
said["aliases"] = client.get_registered_model("stock").aliases
client.set_registered_model_tag("stock", "owner", "me")
said["tags"] = client.get_registered_model("stock").tags
client.set_model_version_tag("stock", first.version, "checked", "yes")
said["version_tags"] = client.get_model_version("stock", first.version).tags
client.update_model_version("stock", first.version, "by the client")
said["description"] = client.get_model_version("stock", first.version).description

os.makedirs(target)
mlflow.artifacts.download_artifacts("models:/stock@champion", dst_path=target)
files = tree(target)
files.pop("registered_model_meta", None)
said["same"] = files == tree(folder)

copy = client.copy_model_version("models:/stock/1", "stock-copy")
said["copy"] = [copy.name, copy.version, client.get_model_version("stock-copy", "1").status]

found = client.search_registered_models("name LIKE 'sto%' AND tags.owner = 'me'")
said["models"] = [[model.name, model.latest_versions[0].version] for model in found]
found = client.search_model_versions("name = 'stock'", order_by=["version_number DESC"])
said["versions"] = [version.version for version in found]
said["all"] = sorted(model.name for model in mlflow.search_registered_models())
said["bad"] = refused(lambda: client.search_model_versions("name ~ 'stock'"))

said["missing"] = refused(lambda: client.get_registered_model("nobody"))
client.delete_model_version("stock-copy", "1")
client.delete_registered_model("stock-copy")
client.delete_registered_model_alias("stock", "champion")
client.delete_registered_model("stock")
said["gone"] = refused(lambda: client.get_registered_model("stock"))
json.dump(said, sys.stdout)
