#!/usr/bin/python3
"""What tests/cluster/routes.py applies, held against the texts of all its cases, without a cluster: a Service is on the API server what the case says
that it is, and whoever is to answer a request has pods that can."""
import glob
import os
import sys

import yaml

CLUSTER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cluster")
sys.path.insert(0, CLUSTER)
import routes  # noqa: E402

FOLDERS = (f"{routes.ROOT}/tests/unit/controller/translate/gateway", f"{CLUSTER}/istio")
LISTENS = 8080  # origin, where it is not told another port


def key(o):
    return f"{o['metadata']['name']}.{o['metadata']['namespace']}"


def is_headless(service):
    return service["spec"].get("clusterIP") == "None"


def services_of(path):
    """As the text has them, but for those that routes.py has its own of."""
    with open(path, encoding="utf-8") as file:
        objects = [o for o in yaml.safe_load_all(file) if o]
    return {key(o): o for o in objects if o["kind"] == "Service" and not o["metadata"]["name"].startswith("echo")}


def wrong_service(said, applied):
    if is_headless(applied) != is_headless(said):
        return f"headless: {is_headless(applied)}, and the case says {is_headless(said)}"
    if not is_headless(said) and {"clusterIP", "clusterIPs"} & set(applied["spec"]):
        return "it asks for an address, which may be another's"
    for field in ("type", "externalName"):
        if applied["spec"].get(field) != said["spec"].get(field):
            return f"{field}: {applied['spec'].get(field)}"
    if [p["port"] for p in applied["spec"]["ports"]] != [p["port"] for p in said["spec"]["ports"]]:
        return f"ports: {applied['spec']['ports']}"
    return None


def wrong_pods(service, deployment):
    """Of a Service that is to answer."""
    if not deployment:
        return "nobody is there to answer"
    if service["spec"].get("selector") != deployment["spec"]["template"]["metadata"]["labels"]:
        return f"it selects {service['spec'].get('selector')}"
    called = [p["port"] if is_headless(service) else p.get("targetPort") for p in service["spec"]["ports"]]
    return None if set(called) == {LISTENS} else f"its pods are called at {called}, and listen on {LISTENS}"


def answerer(request):
    first = request.answer.split()[0]
    return request.host if first == "default" else first.split(":")[0]


def main():
    wrong, headless, answering = [], 0, 0
    paths = [path for folder in FOLDERS for path in sorted(glob.glob(f"{folder}/*.yaml"))]
    for path in paths:
        case, said = routes.Case(path), services_of(path)
        brought = case.brought("image")
        applied = {kind: {key(o): o for o in brought if o["kind"] == kind} for kind in ("Service", "Deployment")}
        assert set(applied["Service"]) == set(said), f"{path}: {sorted(applied['Service'])}"
        asked = {answerer(r) for r in case.requests} & set(said)
        problems = [(name, wrong_service(o, applied["Service"][name])) for name, o in said.items()]
        problems += [(name, wrong_pods(applied["Service"][name], applied["Deployment"].get(name))) for name in sorted(asked)]
        wrong += [f"{case.name}: Service {name}: {why}" for name, why in problems if why]
        headless += sum(is_headless(o) for o in said.values())
        answering += len(asked)
    print(*wrong, sep="\n")
    print(f"{len(paths)} cases, {headless} headless Services, {answering} that answer, {len(wrong)} not as their case says")
    return 1 if wrong or not headless or not answering else 0


if __name__ == "__main__":
    sys.exit(main())
