"""Any vision-language model on the Hub, under the chat template that comes with it."""

from dataclasses import replace

from dataflow_dagster.engines.language import LanguageSettings
from dataflow_dagster.engines.transformers.chat_template import render_chat
from dataflow_dagster.models.image_captioner import ImageCaptioner
from dataflow_dagster.registry import register


@register("ImageCaptioner")
class VLMCaptioner(ImageCaptioner):
    """Whichever `model_path` names; no class has to be written for it.

    Templates: https://huggingface.co/docs/transformers/chat_templating_multimodal
    """

    def render(self) -> str:
        """The prompt and a picture as one user's turn.

        Raises:
            UnfitSettingError: The checkpoint has no template, or one without place for a picture.
        """
        return render_chat(self.folder(), self.prompt, trust_remote_code=self.trust_remote_code)

    def prompt_in_key(self) -> str:
        """See `VisionLanguageModel.prompt_in_key`."""
        return self.prompt  # the template is among the files that the revision stands for

    def settings(self, folder: str) -> LanguageSettings:
        """See `LanguageModel.settings`."""
        return replace(super().settings(folder), add_special_tokens=False)
