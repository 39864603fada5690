/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/profile.h"
#include "model/folds.h"

static int load_session(void *data, const struct session *session, uint64_t copies, int64_t run)
{
	return folds_add(data, session, copies, run);
}

int folds_load(struct profile *profile, struct folds **ret_folds, struct errmsg *err)
{
	_cleanup_(folds_freep) struct folds *folds = folds_new(profile_info(profile)->length);
	int r;

	if (!folds)
		return errmsg_errno(err, -ENOMEM, NULL, "sessions of the profile");
	r = profile_each_session(profile, load_session, folds, err);
	if (r < 0)
		return r;
	r = folds_prepare(folds);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "sessions of the profile");
	*ret_folds = TAKE_PTR(folds);
	return 0;
}
