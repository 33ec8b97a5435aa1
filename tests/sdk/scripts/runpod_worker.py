"""What the SDK's side of the worker makes of handlers' returns and of inputs. Argument: JSON of both."""

import asyncio
import json
import sys

from runpod.serverless.modules.rp_job import run_job
from runpod.serverless.utils.rp_validator import validate

asked = json.loads(sys.argv[1])
KINDS = {"str": str, "int": int, "float": float, "list": list}


async def run(returned):
    def handler(job):
        if "raise" in returned:
            raise RuntimeError(returned["raise"])
        return returned["return"]

    return await run_job(handler, {"id": "a-job", "input": {}})


def checked(given):
    schema = {
        name: {"type": KINDS[kind], "required": required, "default": None}
        for name, (kind, required) in asked["schema"].items()
    }
    return validate(given, schema).get("errors", [])


jobs = [asyncio.run(run(returned)) for returned in asked["returns"]]
print(json.dumps({"jobs": jobs, "errors": [checked(given) for given in asked["inputs"]]}))
