/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scope-bound cleanup: _cleanup_(foo_freep) struct foo *f = NULL;  hand on with TAKE_PTR(f). */
#ifndef IMSAFE_BASE_CLEANUP_H
#define IMSAFE_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define TAKE_PTR(p)                     \
	({                              \
		__auto_type taken_ = (p); \
		(p) = NULL;             \
		taken_;                 \
	})
#define TAKE_FD(fd)                     \
	({                              \
		int taken_ = (fd);      \
		(fd) = -1;              \
		taken_;                 \
	})

/* Defines name_p(struct type **), for _cleanup_, from a free function that takes NULL. */
#define DEFINE_CLEANUP(type, func)            \
	static inline void func##p(type *p)   \
	{                                     \
		if (*p)                       \
			func(*p);             \
	}

/* Each keeps errno, so that a return of -errno after the scope's end still says what went wrong. */
static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void fclosep(FILE **f)
{
	int saved = errno;

	if (*f)
		fclose(*f);
	errno = saved;
}

static inline void closedirp(DIR **d)
{
	int saved = errno;

	if (*d)
		closedir(*d);
	errno = saved;
}

#define _cleanup_free_     _cleanup_(freep)
#define _cleanup_close_    _cleanup_(closep)
#define _cleanup_fclose_   _cleanup_(fclosep)
#define _cleanup_closedir_ _cleanup_(closedirp)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
