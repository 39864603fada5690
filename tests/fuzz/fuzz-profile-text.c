/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A profile's text from outside: what is imported is a sound profile, and exports to a text that imports again. */
#include <stdlib.h>
#include <unistd.h>

#include "model/profile-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/dev/shm/imsafe-fuzz-XXXXXX", again[sizeof(path) + 8], *text = NULL;
	FILE *in = size ? fmemopen((void *)data, size, "r") : fopen("/dev/null", "r"), *out;
	struct profile *profile = NULL;
	struct errmsg err = { 0 };
	size_t n = 0;

	if (!in || !mkdtemp(path))
		abort();
	rmdir(path);
	snprintf(again, sizeof(again), "%s.again", path);
	if (profile_import(path, in, "text", &err) == 0) {
		out = open_memstream(&text, &n);
		if (profile_open(path, PROFILE_READ, NULL, &profile, &err) < 0 || profile_verify(profile, &err) < 0 ||
		    profile_export(profile, true, out, &err) < 0 || fclose(out)) {
			fprintf(stderr, "%s\n", err.text);
			abort();
		}
		profile_close(profile);
		fclose(in);
		in = fmemopen(text, n, "r");
		if (profile_import(again, in, "again", &err) < 0) {
			fprintf(stderr, "%lu: %s\n", err.line, err.text);
			abort();
		}
		free(text);
	} else if (!*err.text) {
		abort();
	}
	fclose(in);
	unlink(path);
	unlink(again);
	return 0;
}
