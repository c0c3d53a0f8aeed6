//! Asks apxs, apr-config and Python what to build against, runs bindgen and sets the link flags.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};

/// One sentence for the person who builds: what is missing and which package brings it.
struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

type Result<T> = std::result::Result<T, Missing>;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=include/wrapper.h");
    for name in ["APXS", "APR_CONFIG", "APU_CONFIG", "PYO3_PYTHON"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    if let Err(missing) = build() {
        eprintln!("mod_python cannot be built: {missing}");
        exit(1);
    }
}

fn build() -> Result<()> {
    let httpd = Httpd::ask()?;
    let python = Python::ask()?;
    bindings(&httpd)?;
    pyo3_build_config::use_pyo3_cfgs();

    // httpd dlcloses its modules between the two readings of its configuration; with `nodelete`
    // statics survive that, and with them the code CPython may still call.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // One .so belongs to one Python: find the very libpython it was linked with, also where another
    // libpython of the same soname stands in the system's directories.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", python.libdir);
    // `ap_*` and `apr_*` exist inside httpd. Test programs have libapr, and tolerate the rest.
    println!("cargo:rustc-link-arg=-Wl,--unresolved-symbols=ignore-all");
    println!("cargo:rustc-link-arg=-Wl,-z,lazy");
    for flag in httpd.libs.iter().filter(|flag| flag.starts_with("-L")) {
        println!("cargo:rustc-link-search=native={}", &flag[2..]);
    }
    println!(
        "cargo:rustc-env=MOD_PYTHON_C_FLAGS={}",
        httpd.clang_args.join(" ")
    );
    println!(
        "cargo:rustc-env=MOD_PYTHON_EXECUTABLE={}",
        python.executable
    );
    println!(
        "cargo:rustc-env=MOD_PYTHON_PYTHON_VERSION={}",
        python.version
    );
    Ok(())
}

/// The httpd and APR to build against.
struct Httpd {
    clang_args: Vec<String>,
    libs: Vec<String>,
}

impl Httpd {
    fn ask() -> Result<Self> {
        let apxs = env::var("APXS").ok().or_else(|| first_on_path(&["apxs", "apxs2"])).ok_or_else(|| {
            Missing("apxs was not found; install httpd's development package (Debian: apache2-dev, Fedora: httpd-devel) or name apxs in APXS".into())
        })?;
        let query = |what: &str| run(&apxs, &["-q", what]);
        let include = query("INCLUDEDIR")?;
        if !Path::new(&include).join("httpd.h").is_file() {
            return Err(Missing(format!(
                "{include}/httpd.h, which {apxs} names, does not exist; install httpd's development package (Debian: apache2-dev)"
            )));
        }
        let tool = |variable: &str, question: &str, name: &str| -> Result<String> {
            match env::var(variable) {
                Ok(path) => Ok(path),
                Err(_) => match query(question) {
                    Ok(path) if !path.is_empty() => Ok(path),
                    _ => first_on_path(&[name]).ok_or_else(|| {
                        Missing(format!("{name} was not found; install APR's development package (Debian: libapr1-dev and libaprutil1-dev) or name it in {variable}"))
                    }),
                },
            }
        };
        let apr = tool("APR_CONFIG", "APR_CONFIG", "apr-1-config")?;
        let apu = tool("APU_CONFIG", "APU_CONFIG", "apu-1-config")?;
        let mut clang_args = vec![format!("-I{include}")];
        clang_args.extend(words(&run(&apr, &["--includes", "--cppflags"])?));
        clang_args.extend(words(&run(&apu, &["--includes"])?));
        let mut libs = words(&run(&apr, &["--link-ld"])?);
        libs.extend(words(&run(&apu, &["--link-ld"])?));
        Ok(Self { clang_args, libs })
    }
}

/// The Python to link with, as pyo3 chooses it.
struct Python {
    executable: String,
    version: String,
    libdir: String,
}

impl Python {
    fn ask() -> Result<Self> {
        let python = env::var("PYO3_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".into());
        let script = "import sys, sysconfig as s, os; v = s.get_config_var; print(sys.executable); \
                      print('%d.%d.%d' % sys.version_info[:3]); print(v('LIBDIR') or ''); \
                      print(v('Py_ENABLE_SHARED') or 0); \
                      print(v('Py_GIL_DISABLED') or 0); \
                      print(os.path.join(s.get_paths()['include'], 'Python.h')); print(v('LDLIBRARY') or '')";
        let answer = run(&python, &["-c", script]).map_err(|_| {
            Missing(format!("{python} does not run; install Python 3.9 or newer (Debian: python3) or name it in PYO3_PYTHON"))
        })?;
        let lines: Vec<&str> = answer.lines().collect();
        let [executable, version, libdir, shared, free_threaded, header, library] = lines[..]
        else {
            return Err(Missing(format!(
                "{python} answered something unexpected: {answer}"
            )));
        };
        if free_threaded != "0" {
            return Err(Missing(format!(
                "{python} ({version}) is built without the GIL (free-threaded), on which mod_python relies; name another Python in PYO3_PYTHON"
            )));
        }
        if !Path::new(header).is_file() {
            return Err(Missing(format!(
                "Python's header {header} does not exist; install the development package of {python} (Debian: python3-dev)"
            )));
        }
        if shared != "1" {
            return Err(Missing(format!(
                "{python} ({version}) has no shared libpython; install one built with --enable-shared (Debian: libpython3-dev) or name another Python in PYO3_PYTHON"
            )));
        }
        if !Path::new(libdir).join(library).exists() {
            return Err(Missing(format!(
                "the shared library {library} of {python} is not in {libdir}; install its development package (Debian: libpython3-dev)"
            )));
        }
        Ok(Self {
            executable: executable.into(),
            version: version.into(),
            libdir: libdir.into(),
        })
    }
}

/// Translates httpd's headers into `bindings.rs`.
fn bindings(httpd: &Httpd) -> Result<()> {
    let out =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("bindings.rs");
    let builder = bindgen::Builder::default()
        .header("include/wrapper.h")
        .clang_args(&httpd.clang_args)
        .allowlist_function("(ap|apr)_.*")
        .allowlist_type("(ap|apr|core|include|authn|authz|cmd|command|overrides)_.*")
        .allowlist_type("module|request_rec|conn_rec|server_rec|process_rec|cmd_parms|mp_constants|global_score|process_score|worker_score")
        .allowlist_var("(apr|AP|APR|MP|M|HTTP|OR|ACCESS|RSRC|REQUEST|PROXYREQ|REMOTE|SUSPENDED|SSI|DECLINED|DONE|OK|DIR_MAGIC|CGI_MAGIC|INCLUDES_MAGIC|mp|ap|AUTH|AUTHN|AUTHZ|STANDARD20|MODULE_MAGIC)_.*|OK|DECLINED|DONE|STANDARD20_MODULE_STUFF|METHODS")
        .blocklist_item("IPPORT_.*|FP_.*")
        .constified_enum("mp_constants")
        .prepend_enum_name(false)
        .derive_default(false)
        .generate_comments(false)
        .layout_tests(true);
    // bindgen panics where libclang is missing; our one sentence says it better.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let generated = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.generate()));
    std::panic::set_hook(hook);
    let bindings = generated
        .map_err(|_| Missing("libclang was not found; install it (Debian: libclang-dev) or name its directory in LIBCLANG_PATH".into()))?
        .map_err(|error| Missing(format!("bindgen could not read httpd's headers: {error}")))?;
    bindings
        .write_to_file(&out)
        .map_err(|error| Missing(format!("{} cannot be written: {error}", out.display())))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| Missing(format!("{program} cannot be run: {error}")))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(Missing(format!(
            "`{program} {}` failed: {}",
            args.join(" "),
            reason.trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_string())
}

fn first_on_path(names: &[&str]) -> Option<String> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .find(|candidate| candidate.is_file())
        .map(|found| found.to_string_lossy().into_owned())
}
