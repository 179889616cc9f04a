"""Chest radiograph phantoms: anatomy, EHR and findings in, grey levels out."""

from mmsn.synthetic.phantom.look import EXTRA_FINDINGS, Look, Seeds
from mmsn.synthetic.phantom.render import render

__all__ = ["EXTRA_FINDINGS", "Look", "Seeds", "render"]
