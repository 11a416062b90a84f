"""Folders of images and labels: reading, checking, describing and splitting them. Needs SimpleITK."""
