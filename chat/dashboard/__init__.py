"""Staff's dashboard (`home`) and usage page: their queries and charts, such as runs and failures (`runs`)."""
