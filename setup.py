"""What pyproject.toml cannot say of the wheel: version, facts of the build, the Rust part."""

import os
import shutil
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools_rust import Binding, RustExtension

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "python"))

import write_version


class BuildPy(build_py):
    """build_py, and the module that tells versions and places."""

    def run(self):
        # Files of an earlier build would end up in this wheel.
        shutil.rmtree(os.path.join(self.build_lib, "mod_python"), ignore_errors=True)
        super().run()
        if not self.editable_mode:
            write_version.write(os.path.join(self.build_lib, "mod_python", "_version.py"))


setup(
    version=write_version.crate_version(),
    cmdclass={"build_py": BuildPy},
    rust_extensions=[
        # httpd loads it, not `import`: it needs libpython, so it is no pyo3 extension module.
        RustExtension("mod_python.mod_python", binding=Binding.NoBinding, args=["--locked"])
    ],
)
