"""Folders of slides: what is to be encoded, a catalogue of what became of each, and proof of it afterwards."""
