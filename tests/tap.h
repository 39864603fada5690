/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TAP for tests: ok(condition, "what"), then return tap_done(). */
#ifndef IMSAFE_TESTS_TAP_H
#define IMSAFE_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned tap_count, tap_failed;

__attribute__((format(printf, 4, 5))) static inline bool tap_ok(bool condition, const char *file, int line,
								 const char *format, ...)
{
	va_list args;

	printf("%sok %u - ", condition ? "" : "not ", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	if (!condition) {
		tap_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return condition;
}

#define ok(condition, ...) tap_ok((condition), __FILE__, __LINE__, __VA_ARGS__)

/* The rest cannot run here: says why. In CI, tests that must run treat this as a failure. */
static inline void tap_skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	exit(0);
}

/* A new empty folder, in memory where there is such a place (tests that sync files are slow on disks). Remove it. */
static inline const char *temporary_folder(void)
{
	static char shared[] = "/dev/shm/imsafe-test-XXXXXX", other[] = "/tmp/imsafe-test-XXXXXX";

	if (mkdtemp(shared))
		return shared;
	if (!mkdtemp(other))
		abort();
	return other;
}

static inline int tap_done(void)
{
	printf("1..%u\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
