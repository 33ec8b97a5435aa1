"""ComfyUI workflows, for every provider that runs them: templates with named places, and what fills them.

`templates` parses and fills one, `library` finds it by name, `order` says which value each place gets and
what a template cannot do, `graph` tells what a filled workflow weighs and how large its pictures will be.
"""

from ferrotype.providers.workflows.library import Checked, Library
from ferrotype.providers.workflows.templates import Template, TemplateFault

__all__ = ["Checked", "Library", "Template", "TemplateFault"]
