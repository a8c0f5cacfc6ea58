"""A private authority, and what it vouches for."""

import shutil
import subprocess
from pathlib import Path

import pytest


def make_certificates(folder: Path) -> Path:
    """cert.pem and key.pem for 127.0.0.1, and the file of the authority that signed: ca.pem."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine to make certificates with")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    run("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=private authority")
    run("req", *new_key, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=server")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
    run("x509", "-req", "-in", "request.pem", *signed, "-out", "cert.pem")
    return folder / "ca.pem"
