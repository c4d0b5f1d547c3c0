//! The proxy of the environment: refused where it cannot be used, because going around it is not what was asked for.

use ureq::{Proxy, ProxyProtocol};

use crate::{Error, Result};

/// The variables that are read, the first one that is set wins; ureq's order.
const VARIABLES: [&str; 6] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// Whether the first variable that is set names a proxy that can be used. Its value is not shown: it may hold a password.
/// `instead` is what else may be done than unset it.
///
/// # Errors
/// [`Error::Usage`] for a SOCKS proxy and what is no address.
pub fn check(variable: impl Fn(&str) -> Option<String>, instead: &str) -> Result<()> {
    let set =
        VARIABLES.iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)));
    let Some((name, value)) = set else { return Ok(()) };
    let why = match Proxy::new(&value).map(|proxy| proxy.protocol()) {
        Ok(ProxyProtocol::Http | ProxyProtocol::Https) => return Ok(()),
        Ok(_) => "names a SOCKS proxy",
        Err(_) => "does not name a proxy",
    };
    Err(Error::Usage(format!(
        "the variable {name} {why}; expected http://HOST:PORT or https://HOST:PORT; unset it{instead}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_that_cannot_be_used_are_refused() {
        let check = |pairs: &[(&str, &str)]| {
            check(|name| pairs.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned()), "")
        };
        check(&[]).unwrap();
        for good in ["http://me:secret@proxy.example:3128", "https://proxy.example", "proxy.example:3128"] {
            check(&[("https_proxy", good)]).unwrap();
        }
        for bad in ["socks5://me:secret@proxy.example:1080", "ftp://secret.example", "http://"] {
            let error = check(&[("HTTPS_PROXY", bad), ("http_proxy", "http://proxy.example")]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(
                error.to_string().contains("HTTPS_PROXY") && !error.to_string().contains("secret"),
                "{error}"
            );
        }
        check(&[("ALL_PROXY", ""), ("HTTP_PROXY", "http://proxy.example")]).unwrap();
    }
}
