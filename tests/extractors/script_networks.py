"""Networks for the TorchScript tests: the compiler reads their source, and does not know postponed annotations."""

import torch


class Means(torch.nn.Module):
    """Channel means as features, and an unfit answer to callers who do not ask for features."""

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:  # noqa: FBT001, FBT002 - StyleGAN's
        """B×3 for features, B×1 otherwise."""
        means = images.float().mean(dim=[2, 3])
        return means if return_features else means.mean(dim=1, keepdim=True)


class Rows(torch.nn.Module):
    """Row means of images of 8 rows as features, channel means as logits."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """B×8 and B×3."""
        assert images.shape[2] == 8, "expects 8 rows"
        assert images.dtype == torch.uint8
        return images.float().mean(dim=[1, 3]), images.float().mean(dim=[2, 3])


class Maps(torch.nn.Module):
    """The images themselves: no features."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """B×3×H×W."""
        return images.float()
