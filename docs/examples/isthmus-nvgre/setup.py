"""A complete third-party package: a network type and a mechanism for it."""

from setuptools import setup

setup(
    name="isthmus-nvgre",
    version="0.1.0",
    py_modules=["isthmus_nvgre"],
    install_requires=["isthmus"],
    entry_points={
        "isthmus.type_drivers": ["nvgre = isthmus_nvgre:NvgreTypeDriver"],
        "isthmus.mechanism_drivers": ["patchbay = isthmus_nvgre:PatchbayMechanismDriver"],
    },
)
