//! The functions without closures: names, parameters, return types.

use super::{
    library::{Env, argo, list, number, text, time},
    types::Type,
    value::Value,
};

/// A function of the language.
#[derive(Debug)]
pub(super) struct Function {
    pub name: &'static str,
    /// The parameters, optional ones last.
    params: &'static [Param],
    required: usize,
    /// Whether the last parameter may be repeated.
    variadic: bool,
    refusal: Refusal,
    returns: Returns,
    /// Called with arguments that match `params`, as far as their types were known.
    pub call: fn(&[Value], &Env<'_>) -> Result<Value, String>,
}

/// The type of a parameter. An argument whose type is unknown before evaluation is checked by the function itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Param {
    Any,
    Number,
    NumberOrText,
    Int,
    Float,
    Text,
    List,
    Map,
    /// Anything that has a length.
    Sized,
}

/// The message for an argument of the wrong type.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// `cannot use T as argument (type P) to call NAME`
    Call,
    /// `VERB T TAIL`, e.g. `cannot get keys from T`
    Words(&'static str, &'static str),
}

#[derive(Debug, Clone, Copy)]
enum Returns {
    Any,
    Bool,
    Int,
    Float,
    Text,
    List,
    TextList,
    Map,
    Time,
    Duration,
    /// The type of the first argument.
    First,
    /// The type of the items of the first argument.
    Item,
}

const fn function(
    name: &'static str,
    params: &'static [Param],
    returns: Returns,
    call: fn(&[Value], &Env<'_>) -> Result<Value, String>,
) -> Function {
    Function { name, params, required: params.len(), variadic: false, refusal: Refusal::Call, returns, call }
}

impl Function {
    const fn requiring(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    const fn refusing(mut self, verb: &'static str, tail: &'static str) -> Self {
        self.refusal = Refusal::Words(verb, tail);
        self
    }

    const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }
}

/// All functions. The last six are Argo's own.
static FUNCTIONS: &[Function] = &[
    function("len", &[Param::Sized], Returns::Int, list::len).refusing("invalid argument for len (type", ")"),
    function("type", &[Param::Any], Returns::Text, text::type_name),
    function("abs", &[Param::Number], Returns::First, number::abs)
        .refusing("invalid argument for abs (type", ")"),
    function("ceil", &[Param::Number], Returns::Float, number::ceil)
        .refusing("invalid argument for ceil (type", ")"),
    function("floor", &[Param::Number], Returns::Float, number::floor)
        .refusing("invalid argument for floor (type", ")"),
    function("round", &[Param::Number], Returns::Float, number::round)
        .refusing("invalid argument for floor (type", ")"),
    function("int", &[Param::NumberOrText], Returns::Int, number::int)
        .refusing("invalid argument for int (type", ")"),
    function("float", &[Param::NumberOrText], Returns::Float, number::float)
        .refusing("invalid argument for float (type", ")"),
    function("string", &[Param::Any], Returns::Text, text::string),
    function("trim", &[Param::Text, Param::Text], Returns::Text, text::trim).requiring(1),
    function("trimPrefix", &[Param::Text, Param::Text], Returns::Text, text::trim_prefix).requiring(1),
    function("trimSuffix", &[Param::Text, Param::Text], Returns::Text, text::trim_suffix).requiring(1),
    function("upper", &[Param::Text], Returns::Text, text::upper),
    function("lower", &[Param::Text], Returns::Text, text::lower),
    function("split", &[Param::Text, Param::Text, Param::Int], Returns::TextList, text::split).requiring(2),
    function("splitAfter", &[Param::Text, Param::Text, Param::Int], Returns::TextList, text::split_after)
        .requiring(2),
    function("replace", &[Param::Text, Param::Text, Param::Text, Param::Int], Returns::Text, text::replace)
        .requiring(3),
    function("repeat", &[Param::Text, Param::Int], Returns::Text, text::repeat),
    function("join", &[Param::List, Param::Text], Returns::Text, text::join).requiring(1),
    function("indexOf", &[Param::Text, Param::Text], Returns::Int, text::index_of),
    function("lastIndexOf", &[Param::Text, Param::Text], Returns::Int, text::last_index_of),
    function("hasPrefix", &[Param::Text, Param::Text], Returns::Bool, text::has_prefix),
    function("hasSuffix", &[Param::Text, Param::Text], Returns::Bool, text::has_suffix),
    function("max", &[Param::Number], Returns::First, number::max)
        .variadic()
        .refusing("invalid argument for max (type", ")"),
    function("min", &[Param::Number], Returns::First, number::min)
        .variadic()
        .refusing("invalid argument for min (type", ")"),
    function("sum", &[Param::List], Returns::Any, number::sum).refusing("cannot sum", ""),
    function("mean", &[Param::List], Returns::Float, number::mean).refusing("cannot avg", ""),
    function("median", &[Param::List], Returns::Float, number::median).refusing("cannot median", ""),
    function("first", &[Param::List], Returns::Item, list::first)
        .refusing("cannot get first element from", ""),
    function("last", &[Param::List], Returns::Item, list::last).refusing("cannot get last element from", ""),
    function("get", &[Param::Any, Param::Any], Returns::Any, list::get),
    function("take", &[Param::List, Param::Int], Returns::First, list::take).refusing("cannot take from", ""),
    function("keys", &[Param::Map], Returns::List, list::keys).refusing("cannot get keys from", ""),
    function("values", &[Param::Map], Returns::List, list::values).refusing("cannot get values from", ""),
    function("toPairs", &[Param::Map], Returns::List, list::to_pairs)
        .refusing("cannot transform", " to pairs"),
    function("fromPairs", &[Param::List], Returns::Map, list::from_pairs)
        .refusing("cannot transform", " from pairs"),
    function("sort", &[Param::List, Param::Text], Returns::List, list::sort)
        .requiring(1)
        .refusing("cannot sort", ""),
    function("sortBy", &[Param::List, Param::Text, Param::Text], Returns::List, list::sort_by)
        .requiring(2)
        .refusing("cannot sort", ""),
    function("toJSON", &[Param::Any], Returns::Text, text::to_json),
    function("fromJSON", &[Param::Text], Returns::Any, text::from_json),
    function("toBase64", &[Param::Text], Returns::Text, text::to_base64),
    function("fromBase64", &[Param::Text], Returns::Text, text::from_base64),
    function("now", &[], Returns::Time, time::now),
    function("date", &[Param::Text, Param::Text, Param::Text], Returns::Time, time::date).requiring(1),
    function("duration", &[Param::Text], Returns::Duration, time::duration),
    function("asInt", &[Param::Any], Returns::Int, argo::as_int),
    function("asFloat", &[Param::Any], Returns::Float, argo::as_float),
    function("isNaN", &[Param::Float], Returns::Bool, argo::is_nan),
    function("isInf", &[Param::Float], Returns::Bool, argo::is_inf),
    function("isNil", &[Param::Any], Returns::Bool, argo::is_nil),
    function("default", &[Param::Any, Param::Any], Returns::Any, argo::default),
];

/// The function of that name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

impl Function {
    /// Checks the number and types of the arguments. Returns the type of the call.
    pub fn check(&self, args: &[Type]) -> Result<Type, String> {
        self.check_count(args.len())?;
        let last = self.params.last().copied().unwrap_or(Param::Any);
        for (index, arg) in args.iter().enumerate() {
            let param = self.params.get(index).copied().unwrap_or(last);
            // A nil is accepted where Go passes it as an interface.
            let is_passed = matches!(self.refusal, Refusal::Call) && *arg == Type::Nil;
            if !is_passed && !param.accepts(arg) {
                return Err(self.refuse(arg, param));
            }
        }
        Ok(self.returns(args))
    }

    /// Whether the parameter is a float, so that an integer literal there becomes one.
    pub fn takes_float(&self, index: usize) -> bool {
        self.params.get(index) == Some(&Param::Float)
    }

    fn check_count(&self, given: usize) -> Result<(), String> {
        let (least, most) = (self.required, self.params.len());
        let name = self.name;
        if given >= least && (given <= most || self.variadic) {
            return Ok(());
        }
        Err(match self.refusal {
            Refusal::Words(..) if !self.variadic && least == most => {
                format!("invalid number of arguments (expected {least}, got {given})")
            }
            Refusal::Words(..) if !self.variadic => {
                format!("invalid number of arguments (expected {least} or {most}, got {given})")
            }
            _ if given < least => format!("not enough arguments to call {name}"),
            _ => format!("too many arguments to call {name}"),
        })
    }

    fn refuse(&self, arg: &Type, param: Param) -> String {
        match self.refusal {
            Refusal::Call => {
                format!("cannot use {arg} as argument (type {}) to call {} ", param.go_name(), self.name)
            }
            Refusal::Words(verb, tail) => format!("{verb} {arg}{tail}"),
        }
    }

    fn returns(&self, args: &[Type]) -> Type {
        let first = args.first().cloned().unwrap_or(Type::Any);
        match self.returns {
            Returns::Any => Type::Any,
            Returns::Bool => Type::Bool,
            Returns::Int => Type::Int,
            Returns::Float => Type::Float,
            Returns::Text => Type::Text,
            Returns::Time => Type::Time,
            Returns::Duration => Type::Duration,
            Returns::List => Type::list(),
            Returns::TextList => Type::List(Box::new(Type::Text)),
            Returns::Map => Type::Map(Box::new(Type::Any), Box::new(Type::Any)),
            Returns::First if self.variadic && args.contains(&Type::Any) => Type::Any,
            Returns::First => first,
            Returns::Item => match first {
                Type::List(item) => *item,
                _ => Type::Any,
            },
        }
    }
}

impl Param {
    fn accepts(self, arg: &Type) -> bool {
        let is_list = matches!(arg, Type::List(_));
        let is_map = matches!(arg, Type::Map(..));
        *arg == Type::Any
            || match self {
                Self::Any => true,
                // For a float Go also accepts an integer, and fails in the call unless it is a literal.
                Self::Number | Self::Float => arg.is_number(),
                Self::NumberOrText => arg.is_number() || arg.is_text(),
                Self::Int => arg.is_integer(),
                Self::Text => arg.is_text(),
                Self::List => is_list,
                Self::Map => is_map,
                Self::Sized => is_list || is_map || arg.is_text(),
            }
    }

    fn go_name(self) -> Type {
        match self {
            Self::Int => Type::Int,
            Self::Float | Self::Number => Type::Float,
            Self::Text | Self::NumberOrText => Type::Text,
            Self::List => Type::list(),
            Self::Map => Type::object(),
            Self::Any | Self::Sized => Type::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_optional_parameters_are_few() {
        for function in FUNCTIONS {
            assert!(std::ptr::eq(find(function.name).unwrap(), function), "{}", function.name);
            assert!(function.required <= function.params.len());
        }
    }
}
