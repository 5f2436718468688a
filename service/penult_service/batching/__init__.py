"""Rows of many requests, packed into batches and run, several at once where many wait; every caller gets an answer."""

from penult_service.batching.plan import Limits, plan, stepped
from penult_service.batching.reports import BatchStats, Health, Observer
from penult_service.batching.request import Lane, TwoSteps
from penult_service.batching.scheduler import Scheduler

__all__ = ["BatchStats", "Health", "Lane", "Limits", "Observer", "Scheduler", "TwoSteps", "plan", "stepped"]
