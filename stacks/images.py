"""The images that nodes boot: uploaded from the golden image's directory, or chosen among the cloud's own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_openstack as openstack

from stacks.errors import StakeyardError
from stacks.fleet_models import ExistingImage, GoldenImage
from stacks.paths import cache
from stacks.urns import IMAGES

UPLOAD_LIMIT = "30m"


@dataclass(frozen=True)
class Golden:
    """The golden image on this machine: its digest, its files, and how its kernel is started."""

    digest: str
    directory: Path
    command_line: str


def golden(directory: Path | None = None) -> Golden:
    """The current golden image. Raises StakeyardError when there is none."""
    current = directory or cache() / "node-image" / "current"
    try:
        manifest = json.loads((current / "manifest.json").read_text())
        return Golden(str(manifest["digest"])[:12], current.resolve(), str(manifest["command_line"]))
    except OSError:
        raise StakeyardError(f"there is no node image in {current}: make it with `stakeyard image build`.") from None
    except (ValueError, KeyError, TypeError):
        raise StakeyardError(
            f"{current.resolve() / 'manifest.json'} is damaged: remove its folder and make the node image again with "
            "`stakeyard image build`."
        ) from None


class Images(pulumi.ComponentResource):
    """Every image of the stack file; `ids` has their identifiers in the cloud by the stack file's names."""

    def __init__(
        self, name: str, images: Mapping[str, GoldenImage | ExistingImage], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Upload what is golden, look up what exists; images that are the same are uploaded once."""
        super().__init__(IMAGES, name, None, opts)
        self._prefix = name
        self.ids: dict[str, pulumi.Output[str]] = {}
        made: dict[str, pulumi.Output[str]] = {}
        for key, image in images.items():
            same = image.model_dump_json()
            if same not in made:
                made[same] = (
                    self._existing(key, image) if isinstance(image, ExistingImage) else self._upload(key, image)
                )
            self.ids[key] = made[same]
        self.register_outputs({})

    def _upload(self, key: str, image: GoldenImage) -> pulumi.Output[str]:
        source = golden()
        if image.boot == "kernel":
            kernel = self._file(f"{key}-kernel", source, "vmlinuz", "aki", {})
            initrd = self._file(f"{key}-initrd", source, "initrd.img", "ari", {})
            boot: dict[str, pulumi.Input[str]] = {
                "kernel_id": kernel.id,
                "ramdisk_id": initrd.id,
                "os_command_line": source.command_line,
            }
            return self._file(key, source, "disk.qcow2", "qcow2", {**boot, **image.properties}).id
        file = "disk.qcow2" if image.boot == "container" else "bootable.qcow2"
        return self._file(key, source, file, "qcow2", image.properties).id

    def _file(
        self, key: str, source: Golden, file: str, disk_format: str, properties: Mapping[str, pulumi.Input[str]]
    ) -> openstack.images.Image:
        path = source.directory / file
        if not path.exists():
            raise StakeyardError(f"{path} is missing: make the node image again with `stakeyard image build`.")
        # The digest is in the resource's own name: a new golden image is a new resource, and replaces servers visibly.
        name = f"{self._prefix}-{key}-{source.digest}"
        return openstack.images.Image(
            name,
            name=name,
            container_format=disk_format if disk_format in ("aki", "ari") else "bare",
            disk_format=disk_format,
            local_file_path=str(path),
            properties=properties,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Another operator's cache lies elsewhere; what the file was made from, the name says.
                ignore_changes=["localFilePath"],
                custom_timeouts=pulumi.CustomTimeouts(create=UPLOAD_LIMIT),
            ),
        )

    def _existing(self, key: str, image: ExistingImage) -> pulumi.Output[str]:
        if image.pin != "recorded":
            return pulumi.Output.from_input(image.pin)
        found = openstack.images.get_image_output(
            name_regex=image.name_regex,
            most_recent=True,
            # An image that anyone shares with the project is no candidate, whatever its name.
            visibility="public",
            opts=pulumi.InvokeOutputOptions(parent=self),
        )
        # A stash keeps the first value it was given: the cloud may replace the image under this name at any time.
        recorded = pulumi.Stash(
            f"{self._prefix}-{key}-{image.name_regex}", input=found.id, opts=pulumi.ResourceOptions(parent=self)
        )
        return recorded.output.apply(str)
