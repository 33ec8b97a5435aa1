"""The SDK's synchronous client through all of its calls. Arguments: the simulator's address, key."""

import base64
import json
import sys

import requests
import runpod

address, runpod.api_key = sys.argv[1:3]
WORKFLOW = {
    "1": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red boat", "clip": ["9", 1]}},
    "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 96, "height": 64, "batch_size": 2}},
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 5, "positive": ["1", 0], "latent_image": ["2", 0], "sampler_name": "euler"},
    },
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "boat"}},
    "9": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sdxl.safetensors"}},
}
ASK = {"prompt": "a red boat", "width": 64, "height": 48, "num_images": 2}


def script(**values):
    requests.patch(f"{address}/_sim/script", json=values).raise_for_status()


def released():
    script(hold=None)
    requests.post(f"{address}/_sim/release").raise_for_status()


def head(text):
    return base64.b64decode(text)[:4].hex()


found = {}
comfy, handler = runpod.Endpoint("comfyui"), runpod.Endpoint("handler")

job = comfy.run({"input": {"workflow": WORKFLOW}, "policy": {"executionTimeout": 60_000, "ttl": 90_000}})
output = job.output(timeout=20)
found["run"] = {
    "status": job.status(),
    "images": [[image["filename"], image["type"], head(image["data"])] for image in output["images"]],
}
# `input` is put around what has none.
found["run_sync"] = [head(image) for image in handler.run_sync(ASK)["images"]]
found["public"] = runpod.Endpoint("z-image-turbo").run_sync(
    {"input": {"prompt": "a boat", "size": "512*512"}}
)
found["picture"] = requests.get(found["public"]["image_url"]).content[:2].hex()

script(hold="run")
running = handler.run(ASK)
while running.status() != "IN_PROGRESS" or running.output() != "Update 1/4":
    pass
found["running"] = [running.status(), running.output()]
found["busy"] = handler.health()
found["canceled"] = [running.cancel(), running.status(), running.output()]
script(hold="queue")
waiting = handler.run(ASK)
found["waiting"] = waiting.status()
found["purged"] = handler.purge_queue()
released()

streamed = handler.run(ASK)
found["stream"] = [head(piece) for piece in streamed.stream()]

script(faults=[{"kind": "error", "message": "no GPU"}])
failed = handler.run(ASK)
found["failed"] = [failed.output(timeout=20), failed.status(), failed._fetch_job()["error"]]
refused = comfy.run({"input": {"images": []}})
found["refused"] = [refused.output(timeout=20), refused.status(), refused._fetch_job()["error"]]
found["health"] = handler.health()

errors = {}
for name, call in {
    "endpoint": lambda: runpod.Endpoint("nowhere").run(ASK),
    "policy": lambda: handler.run({"input": ASK, "policy": {"ttl": 1}}),
    "webhook": lambda: handler.run({"input": ASK, "webhook": "ftp://x"}),
    "large": lambda: handler.run({"prompt": "x" * 11_000_000}),
    "job": lambda: type(running)("handler", "no-such-job", handler.rp_client).status(),
    "key": lambda: runpod.Endpoint("handler", api_key="another").health(),
}.items():
    try:
        call()
    except requests.HTTPError as error:
        errors[name] = error.response.status_code
    except RuntimeError as error:
        errors[name] = str(error)[:3]
print(json.dumps(found | {"errors": errors}))
