# SPDX-License-Identifier: LGPL-3.0-or-later
#
# The library as a package of Conan 2, made from this repository:
#   conan create cmake/packaging/conan --build=missing -s compiler.cppstd=20
import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load

required_conan_version = ">=2.0"


class Qga(ConanFile):
    name = "qga"
    description = "C++20 client of the QEMU Guest Agent, headers only"
    license = "LGPL-3.0-or-later"
    topics = ("qemu", "guest-agent", "virtual-machine", "asio", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    @property
    def _repository(self):
        return os.path.join(self.recipe_folder, "..", "..", "..")

    def set_version(self):
        text = load(self, os.path.join(self._repository, "include", "qga", "version.hpp"))
        numbers = re.findall(r"#define QGA_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text)
        self.version = ".".join(numbers)

    def export_sources(self):
        copy(self, "*.hpp", os.path.join(self._repository, "include"),
             os.path.join(self.export_sources_folder, "include"))
        copy(self, "COPYING*", self._repository, self.export_sources_folder)

    def requirements(self):
        self.requires("asio/[>=1.22.1 <2]")
        self.requires("nlohmann_json/[>=3.11 <4]")

    def package_id(self):
        self.info.clear()

    def validate(self):
        if self.settings.get_safe("compiler.cppstd"):
            check_min_cppstd(self, 20)
        if self.settings.os == "Windows":
            raise ConanInvalidConfiguration("qga needs a POSIX host")

    def package(self):
        copy(self, "*.hpp", os.path.join(self.source_folder, "include"),
             os.path.join(self.package_folder, "include"))
        copy(self, "COPYING*", self.source_folder, os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.defines = ["ASIO_STANDALONE"]
        self.cpp_info.requires = ["asio::asio", "nlohmann_json::nlohmann_json"]
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]
