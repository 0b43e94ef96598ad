"""What the herder says, in Kafka Connect's JSON shapes (upstream: ``rest.entities``). Pure."""

from typing import Any

from engine.api.config import ConfigKey
from engine.herder.herder import (
    ConfigInfos,
    ConfigValue,
    ConnectorInfo,
    ConnectorStateInfo,
    InstanceState,
    PluginInfo,
)  # fmt: skip
from engine.model.task_id import TaskId

Json = dict[str, Any]


def task_id(task: TaskId) -> Json:
    """``ConnectorTaskId``."""
    return {"connector": task.connector, "task": task.task}


def connector_info(info: ConnectorInfo) -> Json:
    """``ConnectorInfo``; the configuration exactly as it was given."""
    return {
        "name": info.name,
        "config": dict(info.config),
        "tasks": [task_id(each) for each in info.tasks],
        "type": info.type,
    }


def instance_state(instance: InstanceState) -> Json:
    """State of a connector or a task; only texts, for some clients read a map of texts."""
    made: Json = {
        "state": instance.state.value,
        "worker_id": instance.worker_id,
        "version": instance.version,
    }
    if instance.trace:
        made["trace"] = instance.trace
    return made


def task_state(number: int, instance: InstanceState) -> Json:
    """``TaskState``."""
    return {"id": number, **instance_state(instance)}


def connector_state_info(info: ConnectorStateInfo) -> Json:
    """``ConnectorStateInfo``, tasks by number."""
    return {
        "name": info.name,
        "connector": instance_state(info.connector),
        "tasks": [task_state(number, info.tasks[number]) for number in sorted(info.tasks)],
        "type": info.type,
    }


def plugin_info(plugin: PluginInfo) -> Json:
    """``PluginInfo``; a version that nobody knows is left out."""
    made: Json = {"class": plugin.class_name, "type": plugin.type}
    if plugin.version is not None:
        made["version"] = plugin.version
    return made


def config_key_info(key: ConfigKey) -> Json:
    """``ConfigKeyInfo``."""
    return {
        "name": key.name,
        "type": key.type.value,
        "required": key.is_required,
        "default_value": key.default_text(),
        "importance": key.importance.value,
        "documentation": key.doc,
        "group": key.group,
        "order_in_group": key.order,
        "width": key.width,
        "display_name": key.display_name or key.name,
        "dependents": [],
    }


def config_value_info(value: ConfigValue) -> Json:
    """``ConfigValueInfo``."""
    return {
        "name": value.name,
        "value": value.value,
        "recommended_values": list(value.recommended_values),
        "errors": list(value.errors),
        "visible": value.visible,
    }


def config_infos(infos: ConfigInfos) -> Json:
    """``ConfigInfos``; warnings are ours and have their own resource."""
    return {
        "name": infos.name,
        "error_count": infos.error_count,
        "groups": list(infos.groups),
        "configs": [
            {"definition": config_key_info(key), "value": config_value_info(value)}
            for key, value in infos.configs
        ],
    }
