import { type PickleGlobal } from './pickle-values';

/** Modules that reach the system, the network, the file system or code; any name in them counts. */
const DANGEROUS_MODULES = new Set(
  `_aix_support _osx_support _posixsubprocess _pickle _pyrepl aiohttp asyncio bdb cProfile cloudpickle
  code codeop commands concurrent ctypes dbm dill distutils doctest ensurepip ftplib glob http httplib
  idlelib imaplib imp importlib inspect lib2to3 linecache logging.config marshal mmap multiprocessing
  nt ntpath nturl2path os pathlib pdb pickle pip pkg_resources pkgutil platform popen2 popen posix
  posixpath poplib profile pty pydoc requests rlcompleter runpy setuptools shelve shlex shutil signal
  site smtplib socket socketserver sqlite3 ssl subprocess sys sysconfig tarfile telnetlib tempfile test
  threading _thread timeit trace types urllib urllib2 uuid venv webbrowser xmlrpc zipfile zipimport
  numpy.f2py numpy.distutils numpy.testing torch.hub torch.utils.cpp_extension torch._inductor
  torch.jit.unsupported_tensor_ops pandas.io.pickle joblib.memory joblib.externals`.split(/\s+/),
);

/** Of the names that every Python program has, those that make values and do nothing else. */
const HARMLESS_BUILTINS = new Set(
  `ArithmeticError AssertionError AttributeError BaseException Ellipsis Exception FloatingPointError
  IndexError KeyError LookupError NameError NotImplemented NotImplementedError OSError OverflowError
  RuntimeError StopIteration TypeError UnicodeDecodeError ValueError ZeroDivisionError bool bytearray
  bytes complex dict float frozenset int list long object range set slice str tuple unicode xrange`.split(
    /\s+/,
  ),
);

/** Names elsewhere that run code, read files, or reach what they are given the name of. */
const DANGEROUS_NAMES = new Set([
  'functools.partial',
  'functools.reduce',
  'io.open',
  'io.open_code',
  'io.FileIO',
  '_io.open',
  '_io.FileIO',
  'joblib.load',
  'joblib.numpy_pickle.load',
  'numpy.load',
  'numpy.lib.npyio.load',
  'numpy.fromfile',
  'numpy.memmap',
  'operator.attrgetter',
  'operator.itemgetter',
  'operator.methodcaller',
  '_operator.attrgetter',
  '_operator.itemgetter',
  '_operator.methodcaller',
  'pandas.read_pickle',
  'pandas.eval',
  'pandas.core.computation.eval.eval',
  'torch.load',
  'torch.serialization.load',
  'torch.storage._load_from_bytes',
]);

/** Whether unpickling could do harm with a name, going by what is known of Python and its libraries. */
export function isDangerous({ module, name }: PickleGlobal): boolean {
  if (/^(?:__builtin__|__builtins__|builtins)$/.test(module)) return !HARMLESS_BUILTINS.has(name);
  const parts = module.split('.');
  if (parts.some((_, index) => DANGEROUS_MODULES.has(parts.slice(0, index + 1).join('.')))) {
    return true;
  }
  // A dotted name walks through attributes: sklearn.os.system is os.system.
  if (name.includes('.') && name.split('.').some((part) => DANGEROUS_MODULES.has(part)))
    return true;
  if (parts.slice(1).some((part) => SYSTEM_PARTS.has(part))) return true;
  return DANGEROUS_NAMES.has(`${module}.${name}`);
}

/** `some.package.os` is the module os again: packages hold what they import. */
const SYSTEM_PARTS = new Set(['os', 'sys', 'subprocess', 'builtins', 'importlib', 'socket']);
