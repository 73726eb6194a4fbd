"""Where in the data folder everything lies."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from api.settings.values import Folder


class DataFolders(BaseSettings):
    """The part of the settings that says so."""

    data_dir: Folder = Field(
        Path("data"), description="Everything that lasts lies under this folder."
    )

    @property
    def models_dir(self) -> Path:
        """The model registry of the embedded runtime."""
        return self.data_dir / "models"

    @property
    def base_models_dir(self) -> Path:
        """Hugging Face folders that can be fine-tuned, one a name."""
        return self.data_dir / "base_models"

    @property
    def jobs_dir(self) -> Path:
        """One folder a fine-tuning job."""
        return self.data_dir / "jobs"

    @property
    def documents_dir(self) -> Path:
        """Imported files under generated names."""
        return self.data_dir / "documents"

    @property
    def datasets_dir(self) -> Path:
        """Datasets, a directory each."""
        return self.data_dir / "datasets"

    @property
    def batches_dir(self) -> Path:
        """Batches, a directory each."""
        return self.data_dir / "batches"

    @property
    def evaluations_dir(self) -> Path:
        """Evaluations, a directory each."""
        return self.data_dir / "evaluations"

    @property
    def sweeps_dir(self) -> Path:
        """Sweeps, a directory each."""
        return self.data_dir / "sweeps"

    @property
    def tables_dir(self) -> Path:
        """Tables, a directory each."""
        return self.data_dir / "tables"

    @property
    def predictions_dir(self) -> Path:
        """Predictions, a directory each."""
        return self.data_dir / "predictions"

    @property
    def uploads_dir(self) -> Path:
        """Files that are being received; half ones are removed at every start."""
        return self.data_dir / "uploads"

    @property
    def converting_dir(self) -> Path:
        """Bundled models on their way to GGUF; half ones are removed at every start."""
        return self.data_dir / "converting"

    @property
    def chroma_dir(self) -> Path:
        """The embedded vector store."""
        return self.data_dir / "chroma"

    @property
    def lexical_dir(self) -> Path:
        """The word index; it can be thrown away."""
        return self.data_dir / "lexical"

    @property
    def database_path(self) -> Path:
        """The truth about documents, chunks, models and jobs."""
        return self.data_dir / "state.sqlite3"
