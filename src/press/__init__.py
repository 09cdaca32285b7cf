"""What turns chapters into a site, a verdict or a grade; no chapter imports it."""
