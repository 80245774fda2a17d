"""Shapes of the models' calls: lists, downloads, deletion, and the OpenAI list."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class ModelEntry(BaseModel):
    model_id: str
    simple_name: str
    size: str
    quantization: str
    is_downloaded: bool
    is_loaded: bool
    file_size_bytes: int
    file_size_formatted: str


class DownloadedEntry(ModelEntry):
    download_date: str


class LoadedEntry(ModelEntry):
    loaded_at: str


class ModelList(BaseModel):
    models: list[ModelEntry]
    total_count: int


class DownloadedList(BaseModel):
    models: list[DownloadedEntry]
    total_count: int


class LoadedList(BaseModel):
    models: list[LoadedEntry]
    total_count: int


class DownloadAnswer(BaseModel):
    success: bool
    message: str
    model_name: str
    actual_model_id: str
    file_size_bytes: int
    download_time_seconds: int


class DeleteAnswer(BaseModel):
    success: bool
    message: str
    model_name: str
    freed_space_bytes: int
    freed_space_formatted: str


class OpenAIModel(BaseModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModelList(BaseModel):
    object: Literal["list"]
    data: list[OpenAIModel]
