"""How tools are offered, called and answered in text: one file a format, for models whose template does not do it."""
