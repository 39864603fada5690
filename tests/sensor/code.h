/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A function that calls getppid() of the kernel and returns, as machine code, to be put where no code should be. */
#ifndef IMSAFE_TESTS_CODE_H
#define IMSAFE_TESTS_CODE_H

#include <sys/syscall.h>

#if defined(__x86_64__)
#define HAVE_CODE 1
#define CODE_RETURN 1 /* bytes of its last instruction; the call is the one before */
static const unsigned char code[] = { 0xb8, SYS_getppid, 0, 0, 0, 0x0f, 0x05, 0xc3 }; /* mov eax, N; syscall; ret */
#elif defined(__aarch64__)
#define HAVE_CODE 1
#define CODE_RETURN 4
static const unsigned code[] = { 0xd2800008 | SYS_getppid << 5, 0xd4000001, 0xd65f03c0 }; /* mov x8, N; svc 0; ret */
#endif
#define CODE_CALL (sizeof(code) - CODE_RETURN)

#endif
