"""The low-shot sets of DiffAugment: seven of a hundred images, and the faces of cats and dogs of AnimalFace."""

from __future__ import annotations

from ._low_shot import LowShot


class Obama(LowShot):
    """100 photographs of Barack Obama's face."""

    name = "obama"
    title = "100-shot Obama"
    description = "100 photographs of Barack Obama's face."
    folder = "100-shot-obama"


class GrumpyCat(LowShot):
    """100 photographs of one cat's face."""

    name = "grumpy-cat"
    title = "100-shot Grumpy Cat"
    description = "100 photographs of one cat's face."
    folder = "100-shot-grumpy_cat"


class Panda(LowShot):
    """100 photographs of pandas' faces."""

    name = "panda"
    title = "100-shot Panda"
    description = "100 photographs of pandas' faces."
    folder = "100-shot-panda"


class BridgeOfSighs(LowShot):
    """100 photographs of one bridge."""

    name = "bridge-of-sighs"
    title = "100-shot Bridge of Sighs"
    description = "100 photographs of one bridge."
    folder = "100-shot-bridge_of_sighs"


class MediciFountain(LowShot):
    """100 photographs of one fountain."""

    name = "medici-fountain"
    title = "100-shot Medici Fountain"
    description = "100 photographs of one fountain."
    folder = "100-shot-medici_fountain"


class TempleOfHeaven(LowShot):
    """100 photographs of one temple."""

    name = "temple-of-heaven"
    title = "100-shot Temple of Heaven"
    description = "100 photographs of one temple."
    folder = "100-shot-temple_of_heaven"


class Wuzhen(LowShot):
    """100 photographs of one town."""

    name = "wuzhen"
    title = "100-shot Wuzhen"
    description = "100 photographs of one town."
    folder = "100-shot-wuzhen"


class AnimalFaceCat(LowShot):
    """160 photographs of cats' faces."""

    name = "animalface-cat"
    title = "AnimalFace Cat"
    description = "160 photographs of cats' faces."
    attribution = "AnimalFace by Zhangzhang Si and Song-Chun Zhu; cropped by the authors of DiffAugment."
    count = 160
    folder = "AnimalFace-cat"


class AnimalFaceDog(LowShot):
    """389 photographs of dogs' faces."""

    name = "animalface-dog"
    title = "AnimalFace Dog"
    description = "389 photographs of dogs' faces."
    attribution = "AnimalFace by Zhangzhang Si and Song-Chun Zhu; cropped by the authors of DiffAugment."
    count = 389
    folder = "AnimalFace-dog"
