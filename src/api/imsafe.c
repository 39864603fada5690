/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public face of the library: profiles and the library's own words for what the parts do. */
#include "api/internal.h"

#include <string.h>

#include "model/freeze.h"

const char *imsafe_version(void)
{
	return IMSAFE_VERSION;
}

int api_error(struct imsafe_error *error, const struct errmsg *err, int r)
{
	char file[sizeof(err->file)], text[sizeof(err->text)];

	if (!error)
		return r;
	escape_text(file, sizeof(file), err->file);
	escape_text(text, sizeof(text), err->text);
	if (*file && err->line)
		snprintf(error->text, sizeof(error->text), "%s:%lu: %s", file, err->line, text);
	else
		snprintf(error->text, sizeof(error->text), "%s%s%s", file, *file ? ": " : "", *text ? text : strerror(-r));
	return r;
}

int imsafe_profile_open(const char *path, struct imsafe_profile **ret_profile, struct imsafe_error *error)
{
	_cleanup_(imsafe_profile_closep) struct imsafe_profile *profile = calloc(1, sizeof(*profile));
	struct counts counts = { 0 };
	struct errmsg err = { 0 };
	int r;

	if (!profile)
		return api_error(error, &err, -ENOMEM);
	r = profile_open(path, PROFILE_READ, NULL, &profile->profile, &err);
	if (r < 0)
		return api_error(error, &err, r);
	r = profile_counts(profile->profile, 0, &counts, &err);
	if (r < 0)
		return api_error(error, &err, r);
	r = freeze(&counts, profile_info(profile->profile)->arch, &profile->image, &err);
	counts_done(&counts);
	if (r < 0)
		return api_error(error, &err, r);
	*ret_profile = TAKE_PTR(profile);
	return 0;
}

void imsafe_profile_close(struct imsafe_profile *profile)
{
	if (!profile)
		return;
	image_free(&profile->image);
	profile_close(profile->profile);
	free(profile);
}

const char *imsafe_profile_application(const struct imsafe_profile *profile)
{
	return profile_info(profile->profile)->application;
}

unsigned imsafe_profile_length(const struct imsafe_profile *profile)
{
	return profile_info(profile->profile)->length;
}
