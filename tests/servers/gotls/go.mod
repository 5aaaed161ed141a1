module longline.test/gotls

go 1.19
