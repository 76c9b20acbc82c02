"""Services that look things up: behind each lookup stands a known person, unless the catalogue says that none need."""

from purposegate.errors import DeclarationRefused
from purposegate.model import Declaration, Principal
from purposegate.protocols import Facts, Purpose
from purposegate.reasons import Reason


async def require_person(
    facts: Facts, principal: Principal, purpose: Purpose, declaration: Declaration
) -> None:
    """Return if the originator, where one is named, is somebody known, and a service names a person or need not.

    A service is one by the token or by the directory; either will do. Raises `DeclarationRefused`, and what facts raise.
    """
    originator = declaration.originator
    if originator and not await facts.known_as(originator):
        raise DeclarationRefused(Reason.ORIGINATOR_UNKNOWN)
    if originator and await facts.is_service(originator):
        raise DeclarationRefused(Reason.ORIGINATOR_NEEDED, "originator: name a person; this is a service.")
    if originator or purpose.service_allowed:
        return
    if principal.login.is_service or await facts.is_service(principal.id):
        raise DeclarationRefused(Reason.ORIGINATOR_NEEDED, "originator: name who asked for this.")
