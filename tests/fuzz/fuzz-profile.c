/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Profiles from outside: any bytes are refused or used, never trusted. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/completeness.h"
#include "model/freeze.h"
#include "model/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_run(void *data, const struct profile_run *run)
{
	return strlen(run->source) > 10000;
}

static int on_session(void *data, const struct session *session, uint64_t copies, int64_t run)
{
	return session_check(session) < 0;
}

static void use(const char *path)
{
	struct completeness completeness;
	struct profile *profile = NULL;
	struct counts counts;
	struct image image, checked;
	struct errmsg err;

	if (profile_open(path, PROFILE_READ, NULL, &profile, &err) < 0)
		return;
	profile_verify(profile, &err);
	if (profile_each_run(profile, on_run, NULL, &err) > 0 || profile_each_session(profile, on_session, NULL, &err) > 0)
		abort();
	if (profile_counts(profile, 0, &counts, &err) == 0) {
		if (freeze(&counts, profile_info(profile)->arch, &image, &err) == 0) {
			if (image_check(image.header, sizeof(*image.header) + image.header->cells * sizeof(struct cell), "image",
					&checked, &err) < 0)
				abort();
			image_free(&image);
		}
		counts_done(&counts);
	}
	if (completeness_of_profile(profile, &completeness, &err) == 0)
		completeness_done(&completeness);
	profile_close(profile);
}

/* A profile that changes: the file takes part in a merge. */
static void change(const char *path)
{
	struct profile *profile = NULL, *copy = NULL;
	struct errmsg err;
	char other[64];

	snprintf(other, sizeof(other), "%s.copy", path);
	if (profile_open(path, PROFILE_WRITE, NULL, &profile, &err) < 0)
		return;
	if (profile_begin(profile, &err) == 0) {
		profile_remove_run(profile, 1, &err);
		profile_commit(profile, &err);
	}
	if (profile_open(other, PROFILE_CREATE, profile_info(profile), &copy, &err) == 0 && profile_begin(copy, &err) == 0 &&
	    profile_merge(copy, profile, &err) >= 0 && profile_commit(copy, &err) == 0 && profile_verify(copy, &err) < 0)
		abort();
	profile_close(copy);
	profile_close(profile);
	unlink(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/dev/shm/imsafe-fuzz-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
	use(path);
	change(path);
	unlink(path);
	return 0;
}
