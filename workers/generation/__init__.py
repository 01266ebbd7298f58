"""Carries out one run: reads the context, streams the answer, stores its end.

When judges are asked: about questions in `judge_asked`, about answers in `output_judge`, about texts that are shown
already in `judge_shown`. How a judge is asked is in `workers.moderation`.
"""
