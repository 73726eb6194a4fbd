"""Where the imported files lie, under generated names; a user's file name never becomes a path."""

from pathlib import Path

from finetune.job.locks import sync_file, sync_folder


class Files:
    """One file a document, named by its id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, document_id: str) -> Path:
        """Where a document's file lies."""
        return self._folder / f"{document_id}.pdf"

    def keep(self, file: Path, document_id: str) -> None:
        """Move a received file here; it survives a power cut."""
        sync_file(file)
        file.replace(self.path(document_id))
        sync_folder(self._folder)

    def remove(self, document_id: str) -> None:
        """Take a document's file away; idempotent."""
        self.path(document_id).unlink(missing_ok=True)

    def all(self) -> dict[str, Path]:
        """Every file by what would be its document's id."""
        return {path.stem: path for path in sorted(self._folder.iterdir())}
