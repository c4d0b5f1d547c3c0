"""A real Label Studio imports what `sarb predict --format label-studio` writes, and asks `sarb serve` as its backend.

    python tests/clients/label_studio.py SARB RUN IMAGES LABEL_STUDIO [--hold]

LABEL_STUDIO is the program of `pip install label-studio`; tried with 1.23.2. It is started on loopback with an empty
folder of its own and stopped at the end; --hold waits for a line on stdin before, with its address and a login on stdout.
Run by hand: the package has two hundred others below it.
"""

import http.cookiejar
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from xml.sax.saxutils import quoteattr

USER, PASSWORD = "sarb@example.com", "not-a-secret-1"
MOST = 24


class Studio:
    """A Label Studio of its own, with a session."""

    def __init__(self, program, folder, root, port):
        self.address = f"http://127.0.0.1:{port}"
        settings = {
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": root,
            "ML_BLOCK_LOCAL_IP": "false",
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
        }
        arguments = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port), "--data-dir", folder]
        arguments += ["--username", USER, "--password", PASSWORD]
        self.log = open(os.path.join(folder, "log.txt"), "wb")
        self.process = subprocess.Popen([program, *arguments], env={**os.environ, **settings}, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                                  urllib.request.HTTPCookieProcessor(self.cookies))
        try:
            self.log_in()
        except BaseException:
            self.stop()
            raise

    def log_in(self):
        # A new folder has hundreds of migrations to go through.
        until(lambda: self.get("/user/login/"), 1200, "Label Studio")
        form = {"email": USER, "password": PASSWORD, "csrfmiddlewaretoken": self.cookie("csrftoken")}
        self.send("/user/login/", urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded")
        assert self.cookie("sessionid"), "no session"

    def cookie(self, name):
        return next((cookie.value for cookie in self.cookies if cookie.name == name), None)

    def get(self, path):
        with self.opener.open(self.address + path, timeout=60) as answer:
            return answer.read()

    def json(self, path):
        return json.loads(self.get(path))

    def send(self, path, body, kind):
        headers = {"Content-Type": kind, "X-CSRFToken": self.cookie("csrftoken") or "", "Referer": self.address}
        request = urllib.request.Request(self.address + path, body, headers, method="POST")
        with self.opener.open(request, timeout=120) as answer:
            return answer.read()

    def post(self, path, body):
        return json.loads(self.send(path, json.dumps(body).encode(), "application/json") or b"null")

    def upload(self, path, file):
        boundary = "b0undary"
        with open(file, "rb") as opened:
            content = opened.read()
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{os.path.basename(file)}"\r\n'
        body = head.encode() + b"Content-Type: application/json\r\n\r\n" + content + f"\r\n--{boundary}--\r\n".encode()
        return json.loads(self.send(path, body, f"multipart/form-data; boundary={boundary}"))

    def project(self, title, config, images):
        project = self.post("/api/projects", {"title": title, "label_config": config})["id"]
        # Files are served only to projects with a storage that has them.
        self.post("/api/storages/localfiles", {"project": project, "path": images, "use_blob_urls": True})
        return project

    def tasks(self, project):
        return self.json(f"/api/tasks?project={project}&fields=all&page_size=1000")["tasks"]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def until(works, seconds, what):
    """Waits until a call works."""
    end = time.monotonic() + seconds
    while True:
        try:
            return works()
        except (OSError, AssertionError) as error:
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: {error}") from error
            time.sleep(0.5)


def brief(prediction):
    return prediction["model_version"], round(prediction["score"], 6), prediction["result"][:1] and {
        key: prediction["result"][0][key] for key in ("from_name", "to_name", "type", "value")
    }


def imports(studio, program, run, root, config_file, config):
    """A file that was written is imported; gives the project."""
    tasks = os.path.join(root, "tasks.json")
    images = os.path.join(root, "images")
    # The server decides so, where the run can.
    decide = ["--decide", "f1"] if os.path.isdir(os.path.join(run, "oof")) else []
    subprocess.run([program, "predict", run, images, "--format", "label-studio", "--out", tasks, "--label-config",
                    config_file, "--quiet", *decide], check=True, stdout=subprocess.DEVNULL)
    with open(tasks, encoding="utf-8") as file:
        written = {task["data"]["image"]: task["predictions"][0] for task in json.load(file)}
    project = studio.project("imported", config, images)
    said = studio.upload(f"/api/projects/{project}/import", tasks)
    assert said["task_count"] == len(written) and said["prediction_count"] == len(written), said
    for task in studio.tasks(project):
        (prediction,) = task["predictions"]
        assert brief(prediction) == brief(written[task["data"]["image"]]), (prediction, written[task["data"]["image"]])
    first = next(iter(written))
    name = urllib.parse.unquote(first.split("?d=")[1])
    with open(os.path.join(root, name), "rb") as file:
        assert studio.get(first) == file.read(), first
    print(f"{len(written)} tasks with predictions of {written[first]['model_version']} imported and read back the same; "
          f"{first} is served")
    return project, written


def asks(studio, program, run, root, config, written):
    """Label Studio asks the server for the predictions of tasks that have none."""
    server = subprocess.Popen([program, "serve", run, "--images", root, "--port", "0", "--json", "--quiet"],
                              stdout=subprocess.PIPE, encoding="utf-8")
    try:
        url = json.loads(server.stdout.readline())["url"]
        project = studio.project("asked", config, os.path.join(root, "images"))
        studio.post(f"/api/projects/{project}/import", [{"data": {"image": image}} for image in written])
        try:
            studio.post("/api/ml/", {"project": project, "url": url, "title": "sarb", "is_interactive": True})
            print("POST /api/ml/: connected")
        except urllib.error.HTTPError as error:
            print(f"POST /api/ml/: {error.code} {error.read()[:200].decode()}")
        (backend,) = studio.json(f"/api/ml?project={project}")
        print(f"backend: {backend['state']} {backend.get('model_version')} {backend.get('error_message') or ''}")
        tasks = studio.tasks(project)
        chosen = {"selectedItems": {"all": False, "included": [task["id"] for task in tasks]}}
        said = studio.post(f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}", chosen)
        print(f"predictions retrieved: {said}")
        until(lambda: all_predicted(studio, project), 60, "predictions")
        different = 0
        for task in studio.tasks(project):
            (prediction,) = task["predictions"]
            (version, score, result), (expected, sure, wanted) = brief(prediction), brief(written[task["data"]["image"]])
            assert version == expected, (version, expected)
            different += result != wanted or abs(score - sure) > 1e-4
        print(f"{len(tasks)} tasks predicted by the server, {different} unlike the file")
        assert different == 0
        context = {"task": tasks[0]["id"], "context": {"result": []}}
        said = studio.post(f"/api/ml/{backend['id']}/interactive-annotating", context)
        assert said["data"]["result"] == written[tasks[0]["data"]["image"]]["result"], said
        print(f"interactive: {json.dumps(said)[:300]}")
        try:
            said = studio.post(f"/api/ml/{backend['id']}/train", {})
            print(f"train: {said}")
        except urllib.error.HTTPError as error:
            print(f"train: {error.code} {error.read()[:200].decode()}")
        annotation = {"result": written[tasks[0]["data"]["image"]]["result"], "was_cancelled": False}
        studio.post(f"/api/tasks/{tasks[0]['id']}/annotations", annotation)
        time.sleep(3)
        with urllib.request.urlopen(url + "/metrics") as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("sarb_requests_total"):
                    print(line)
    finally:
        server.terminate()
        server.wait(30)


def all_predicted(studio, project):
    assert all(task["predictions"] for task in studio.tasks(project)), "some have none"


def main(program, run, images, label_studio, *hold):
    with tempfile.TemporaryDirectory() as folder:
        root, data = os.path.join(folder, "root"), os.path.join(folder, "studio")
        os.makedirs(os.path.join(root, "images"))
        os.makedirs(data)
        for name in sorted(os.listdir(images))[:MOST]:
            shutil.copy(os.path.join(images, name), os.path.join(root, "images", name))
        with open(os.path.join(run, "data", "categories.json"), encoding="utf-8") as file:
            choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in json.load(file)["names"])
        config = ('<View><Image name="image" value="$image"/><Choices name="tags" toName="image" choice="multiple" '
                  f'showInline="true">{choices}</Choices></View>')
        config_file = os.path.join(folder, "config.xml")
        with open(config_file, "w", encoding="utf-8") as file:
            file.write(config)
        began = time.monotonic()
        studio = Studio(label_studio, data, root, 8181)
        try:
            print(f"Label Studio {studio.json('/api/version')['label-studio-os-package']['version']} "
                  f"after {time.monotonic() - began:.0f} s")
            project, written = imports(studio, program, run, root, config_file, config)
            asks(studio, program, run, root, config, written)
            if hold:
                print(f"{studio.address}/projects/{project}/data {USER} {PASSWORD}", flush=True)
                sys.stdin.readline()
        except BaseException:
            studio.log.flush()
            with open(studio.log.name, errors="replace") as file:
                print("".join(file.readlines()[-40:]), file=sys.stderr)
            raise
        finally:
            studio.stop()


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    main(*sys.argv[1:])
