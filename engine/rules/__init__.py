"""Rules: definitions compiled to steps that yield effects. Decides what should happen; writes nothing. Applying is engine/records/ruling.py's business."""
