/* SPDX-License-Identifier: ISC */
/*
 * What holds of the whole machine at every quiescent point, whatever was called before: the audit's rules.
 */
#include "vmm/check/check.h"

bool
check_audit_source(struct audit *audit, const struct audit_source *src, const struct snapshot *snap,
    struct bed_err *err)
{
	unsigned i;

	if (!audit_run(audit, src, snap, AUDIT_ALWAYS, err))
		return false;
	return audit_broken(audit, &i) == NULL || audit_fail(audit, i, err);
}

bool
check_audit(
    struct audit *audit, const struct bed *bed, const struct snapshot *snap, struct bed_err *err)
{
	struct audit_source src = audit_source(bed);

	return check_audit_source(audit, &src, snap, err);
}

bool
check_invariants(const struct bed *bed, const struct snapshot *snap, struct bed_err *err)
{
	struct audit *audit = audit_new(bed, err);
	bool ok = audit != NULL && check_audit(audit, bed, snap, err);

	audit_free(audit);
	return ok;
}
