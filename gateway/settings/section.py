"""What all mappings of the configuration have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping of the file. Unknown keys are errors; values never appear in pydantic's own messages."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
