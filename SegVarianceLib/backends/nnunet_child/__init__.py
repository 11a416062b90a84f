"""The half of the nnU-Net backend that runs in nnU-Net's own Python; see ``__main__``. Nothing else imports it."""
