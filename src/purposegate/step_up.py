"""Proving oneself anew for what weighs more: RFC 9470. The challenge depends on the declaration alone, never on the record."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from purposegate.model import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """How people must have signed in: one of these `acr` values, at most `max_age_s` seconds ago."""

    acr_values: tuple[str, ...]
    max_age_s: int

    def holds(self, principal: Principal, at: datetime) -> bool:
        """Whether this principal has. A sign-in that lies ahead of the clock is none."""
        age = at.timestamp() - principal.stepped_up_at
        return principal.stepped_up_at > 0 and timedelta() <= timedelta(seconds=age) <= timedelta(
            seconds=self.max_age_s
        )

    @property
    def challenge(self) -> bytes:
        """The `WWW-Authenticate` value of RFC 9470 section 3. Settings allow no quotation mark in an acr value."""
        return (
            'Bearer error="insufficient_user_authentication", '
            'error_description="Sign in again, with the method named", '
            f'acr_values="{" ".join(self.acr_values)}", max_age="{self.max_age_s}"'
        ).encode("ascii")
