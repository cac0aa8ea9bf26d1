"""The kinds of rule. A new kind is one module here, registered in `KINDS`."""

from __future__ import annotations

from typing import Any

from rules_service.rules.kinds.add_on_code import AddOnCodeKind
from rules_service.rules.kinds.age_sex import AgeSexKind
from rules_service.rules.kinds.anesthesia import AnesthesiaKind
from rules_service.rules.kinds.authorization_requirement import AuthorizationRequirementKind
from rules_service.rules.kinds.base import RuleKind
from rules_service.rules.kinds.benefit_exclusion import BenefitExclusionKind
from rules_service.rules.kinds.claim_frequency import ClaimFrequencyKind
from rules_service.rules.kinds.code_pair import CodePairKind
from rules_service.rules.kinds.code_validity import CodeValidityKind
from rules_service.rules.kinds.condition import ConditionKind
from rules_service.rules.kinds.coordination_of_benefits import CoordinationOfBenefitsKind
from rules_service.rules.kinds.diagnosis_coverage import DiagnosisCoverageKind
from rules_service.rules.kinds.diagnosis_edit import DiagnosisEditKind
from rules_service.rules.kinds.duplicate import DuplicateKind
from rules_service.rules.kinds.eligibility import EligibilityKind
from rules_service.rules.kinds.fee_schedule_indicator import FeeScheduleIndicatorKind
from rules_service.rules.kinds.filing_limit import FilingLimitKind
from rules_service.rules.kinds.frequency_limit import FrequencyLimitKind
from rules_service.rules.kinds.global_period import GlobalPeriodKind
from rules_service.rules.kinds.identifier import IdentifierKind
from rules_service.rules.kinds.modifier_requirement import ModifierRequirementKind
from rules_service.rules.kinds.new_patient_visit import NewPatientVisitKind
from rules_service.rules.kinds.payment_status import PaymentStatusKind
from rules_service.rules.kinds.provider_identifier import ProviderIdentifierKind
from rules_service.rules.kinds.provider_roster import ProviderRosterKind
from rules_service.rules.kinds.public_register import PublicRegisterKind
from rules_service.rules.kinds.referral import ReferralKind
from rules_service.rules.kinds.telehealth import TelehealthKind
from rules_service.rules.kinds.unit_limit import UnitLimitKind

KINDS: dict[str, RuleKind[Any]] = {
    kind.name: kind
    for kind in (
        AddOnCodeKind(),
        AgeSexKind(),
        AnesthesiaKind(),
        AuthorizationRequirementKind(),
        BenefitExclusionKind(),
        ClaimFrequencyKind(),
        CodePairKind(),
        CodeValidityKind(),
        ConditionKind(),
        CoordinationOfBenefitsKind(),
        DiagnosisCoverageKind(),
        DiagnosisEditKind(),
        DuplicateKind(),
        EligibilityKind(),
        FeeScheduleIndicatorKind(),
        FilingLimitKind(),
        FrequencyLimitKind(),
        GlobalPeriodKind(),
        IdentifierKind(),
        ModifierRequirementKind(),
        NewPatientVisitKind(),
        PaymentStatusKind(),
        ProviderIdentifierKind(),
        ProviderRosterKind(),
        PublicRegisterKind(),
        ReferralKind(),
        TelehealthKind(),
        UnitLimitKind(),
    )
}
