"""A gateway is started: as one process, or as several and their parent."""

from gateway.running.descriptors import with_descriptors
from gateway.running.herald import find_herald
from gateway.running.process import serve
from gateway.running.reload import Load
from gateway.settings.model import Settings


def run(settings: Settings, load: Load) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit code. `load` reads the settings anew."""
    settings = with_descriptors(settings)
    if settings.workers > 1:
        from gateway.running.supervisor import supervise  # which one process can do without

        return supervise(settings, load, find_herald())
    return serve(settings, load, find_herald())
