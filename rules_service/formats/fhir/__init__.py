"""FHIR R4 (4.0.1): Claims in, OperationOutcomes and ClaimResponses out."""
