"""``/connector-plugins``: what is installed, and checks of configurations."""

from typing import Final

from aiohttp import web

from engine.api.errors import ConnectError
from engine.herder.herder import BadRequestError, Herder
from engine.rest.body import answer, config_of, read_object
from engine.rest.entities import config_infos, config_key_info, plugin_info
from engine.rest.route import Route, is_true

_PLUGIN: Final = "{plugin:[^/]+}"
_UPSTREAM_ERROR: Final = "org.apache.kafka.connect.runtime.rest.errors.BadRequestException"


class ConnectorPluginsResource:
    """Plugins (upstream: ``ConnectorPluginsResource``)."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder

    def routes(self) -> list[Route]:
        """What is answered here; the list of warnings is ours."""
        validate = f"connector-plugins/{_PLUGIN}/config/validate"
        return [
            Route("GET", "/connector-plugins", self._list),
            Route("GET", f"/connector-plugins/{_PLUGIN}/config", self._config),
            Route("PUT", f"/{validate}", self._validate),
            Route("PUT", f"/engine/{validate}", self._warnings),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        connectors_only = is_true(request, "connectorsOnly", default=True)
        plugins = await self._herder.plugins(connectors_only=connectors_only)
        return answer([plugin_info(each) for each in plugins])

    async def _config(self, request: web.Request) -> web.Response:
        keys = await self._herder.plugin_config(request.match_info["plugin"])
        return answer([config_key_info(each) for each in keys])

    async def _validate(self, request: web.Request) -> web.Response:
        config = await _config_for(request)
        try:
            infos = await self._herder.validate(config)
        except BadRequestError as error:
            # upstream answers 500 to these, with the name of its exception in front
            raise ConnectError(f"{_UPSTREAM_ERROR}: {error}") from None
        return answer(config_infos(infos))

    async def _warnings(self, request: web.Request) -> web.Response:
        infos = await self._herder.validate(await _config_for(request))
        errors = [text for _, value in infos.configs for text in value.errors]
        return answer({"errors": errors, "warnings": list(infos.warnings)})


async def _config_for(request: web.Request) -> dict[str, str | None]:
    """The request's configuration, which is to be of the plugin in its path.

    That is compared as a suffix of the class, the word Connector aside.
    """
    plugin = request.match_info["plugin"]
    config = config_of(await read_object(request))
    included = config.get("connector.class")
    if included is None:
        return config
    if not included.removesuffix("Connector").endswith(plugin.removesuffix("Connector")):
        raise BadRequestError(
            f"Included connector type {included} does not match request type {plugin}"
        )
    return config
